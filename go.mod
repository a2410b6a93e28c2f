module github.com/Sage-Bionetworks/synapse-ops-core

go 1.26

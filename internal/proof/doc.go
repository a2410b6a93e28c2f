// Package proof holds tests only: what must hold between processes, shown with
// real ones. Workers are killed, paused and canceled at every place their journal
// can be in; launchers die between any two of their documents; disks fill up;
// every byte that is written or printed is searched for secrets.
//
// The tests run in a short form by default. With SYNOPS_PROVE=1 they try every
// place instead of a few, and long lists.
//
// What is not here: anything a single process can show; that is tested beside the
// code.
package proof

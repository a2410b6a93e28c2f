package local

// Child names a process that this one started and has not reaped.
var Child = child

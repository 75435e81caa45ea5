// Package bus carries messages between the processes of one installation.
//
// It is core NATS embedded in the supervisor, on the loopback interface, with
// mutual TLS. The supervisor makes a fresh certificate authority at each start
// (NewCA) and gives every process a certificate that says its role and instance;
// the server derives from it, and from nothing that the process says itself,
// which subjects that connection may publish and hear (table.go: the whole
// policy as data; what is not listed is refused).
//
// Three shapes of traffic: a typed request and its answer (Call, Handle), one
// message to all who may hear it (Publish, Subscribe), and HTTP (HandleHTTP,
// Transport). A request's subject names its caller and the server checks that
// part too, so a handler can trust the Name it is given. Everything is bounded:
// size, time, and how many requests a process works on at once. Failures travel
// as coded problems (internal/problem); what an error says inside stays in the
// log of the process that met it.
//
// Messages are best effort: whoever needs to be sure reads the database again.
package bus

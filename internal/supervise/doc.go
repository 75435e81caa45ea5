// Package supervise runs the processes of an installation as children of one.
//
// Every child is the same binary started again with other arguments, in a
// process group of its own, under its own system user where one is configured
// and the supervisor is root. Secrets (bus key, passphrase) reach it through an
// inherited pipe, never by arguments, environment or a file; it says that it is
// ready through a second one (Inherit is the child's side of both). What it
// prints is forwarded line by line under its name.
//
// A child that ends is started again, at once the first time and then after
// growing pauses. When the supervisor stops, all children are asked to end, in
// the reverse order of their start, and then made to, with everything that they
// started themselves. When the supervisor is killed the kernel kills them.
//
// Linux only: it relies on PR_SET_PDEATHSIG and process groups.
package supervise

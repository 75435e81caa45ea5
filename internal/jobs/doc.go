// Package jobs runs what has to happen again and again, whoever restarts when:
// looking for what is due, agreeing on tombstones.
//
// It is river (https://riverqueue.com) with one kind of job: a name. A Job says
// how often it runs; one that was missed runs at the next start, one that fails
// is tried again with growing pauses, and of several processes on one database
// one runs it. Jobs are repeatable: nothing here promises that one runs once.
//
// On SQLite the queue has a file of its own, since river wants a single
// connection; on PostgreSQL it lies in the installation's database.
package jobs

// Package storetest gives tests a fresh database of their own with all migrations
// applied and all append-only triggers armed: SQLite on a file in the test's
// temporary folder or, where KUULE_TEST_POSTGRES names a server, a PostgreSQL
// database that is dropped afterwards (make test-postgres). Nothing in it is for production; no production
// binary imports it, which test/house proves.
package storetest

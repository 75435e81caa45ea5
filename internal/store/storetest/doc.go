// Package storetest gives tests a fresh database of their own: the real engine
// on a file in the test's temporary folder, with all migrations applied and all
// append-only triggers armed. Nothing in it is for production; no production
// binary imports it, which test/house proves.
package storetest

// Package transcript keeps what was said in writing: lines typed live against
// the hearing clock, the sealed record that is handed over instead of being
// read through, the amendments beside it, and its one outcome (rows I1, J1, J4,
// J6, J7, J9).
//
// Every line that was typed is a row that is never changed: a new wording is a
// new version, and of two writers at the same version one is told. A write is
// answered once it is durable. Once version 1 is sealed no call and no SQL
// statement changes a line; corrections are numbered, attributed amendments, and
// version 2 repeats the originals with the amendments beside them. All texts are
// sealed under the case's records key before they reach the database.
package transcript

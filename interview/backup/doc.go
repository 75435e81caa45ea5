// Package backup is the form of a room terminal's own back-up: what its page
// sealed and sent on record, sealed once more to the agency's back-up key, for
// the case that both recorders failed (row H5).
//
// A chunk belongs to one key epoch, and shows that a recorder was in it: the
// roster and the admission of a recorder on it. What was said in a pause or
// consultation stands under epochs without a recorder, so that no chunk can hold
// it. Keys travel sealed to the back-up key too: who keeps the file opens none.
package backup

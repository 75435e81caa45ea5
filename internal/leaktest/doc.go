// Package leaktest looks for words where none of them may stand.
//
// A test plants words that nothing else contains and has everything that goes
// out searched for them: answers, bundles, exports. Words hide: in a packed
// archive, in base64 (signed messages are made of it), in escaped JSON. [Find]
// looks through all of these, some layers deep. It finds what was not sealed;
// what was sealed has to be opened first.
package leaktest

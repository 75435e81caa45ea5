// Package bustest gives tests a bus of their own: the real server on a free
// port, with a fresh certificate authority, closed with the test. It is the same
// bus with the same table as in production, so a test that passes on it does not
// pass for want of a refusal. No production binary imports it.
package bustest

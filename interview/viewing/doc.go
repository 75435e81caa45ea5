// Package viewing is what people sign when a recording is opened (H6; 906/2019
// 16-17 §): a person's consent at a device, and a second person's approval.
//
// A consent is signed by the device's key through its agent, for one act of
// one viewing and hearing, with the hash of the written purpose; it counts for
// a minute and once. So a server that was captured cannot open recordings with
// the identity tokens that pass through it: it needs the device's key for each.
// An approval is authority's own word that a second interviewer, proved by
// identity token and consent, allows a first one to open one hearing's
// recordings until it expires.
//
// The applicant signs in nowhere. What stands for a sign-in then is the ticket
// of a kiosk for this purpose, or an interviewer who signs at the very device
// that this person sits there.
package viewing

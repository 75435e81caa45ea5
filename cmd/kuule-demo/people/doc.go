// Package people plays the people of the demonstration.
//
// A Person sits at a device as a browser would: a start link of the agent, the
// page's calls through the loopback gateway, the device's signature under the
// statement, and a member of the room over the gateway's WebSocket. Nothing is
// taken a short way round: what refuses a browser refuses a Person.
//
// What they say is real Opus speech (espeak-ng, in Finnish, English and Arabic)
// and what they show is real VP8. Into each voice a quiet tone of its own is
// mixed, so that a decoded recording proves who is heard on which track. Media
// is kept in the repository (folder media, made by `kuule-demo make-media`).
package people

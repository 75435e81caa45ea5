// Package launcher is the demonstration's first page: a card for each persona
// that opens the persona's own device in a new tab.
//
// It stands where a workstation's start menu stands in an installation: each
// click asks the device's agent for a fresh link, which counts once and for a
// minute. A link alone opens nothing for another user of the machine: the agent
// checks whose browser connects. Plain HTML, Finnish and English, answered to
// its own name only.
package launcher

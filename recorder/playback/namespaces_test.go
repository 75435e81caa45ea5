package playback

// Namespaces lets a test ask for what no system gives.
var Namespaces = &namespaces

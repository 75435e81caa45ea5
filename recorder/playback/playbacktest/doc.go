// Package playbacktest makes recordings for tests of playback: people whose
// voice is a pure tone and whose picture moves, encoded by ffmpeg as a browser
// would, sealed and journaled as in a hearing. It is for tests alone.
package playbacktest

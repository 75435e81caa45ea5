package rehearsal

// What counts as heard in a decoded recording.
const (
	toneFound = 15.0  // dB over the neighbourhood
	audible   = -40.0 // dB below full scale
	silent    = -60.0
)

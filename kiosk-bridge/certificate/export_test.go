package certificate

import "bytes"

// Width is how wide a text is drawn, at a size of 100.
func Width(text string) (float64, error) {
	var b bytes.Buffer
	return words.draw(&b, text, 100, 0, 0)
}

package kiosk

import (
	"encoding/json"
	"net/http"

	"kuule/kiosk-bridge/tunnel"
)

// Setup is what the page asks first: which services this kiosk holds, and in
// which languages something here speaks.
type Setup struct {
	Screen *Screen
	Voice  *Voice
}

// Languages are those of the kiosk's page (web/src/kiosk/texts).
var Languages = []string{"fi", "sv", "en", "ar", "so", "fa", "prs", "ru", "uk", "ckb", "kmr", "tr", "ps", "fr"}

// ServeHTTP answers the page.
func (s *Setup) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	answer := struct {
		Services []tunnel.Service `json:"services"`
		Voices   []string         `json:"voices"`
	}{s.Screen.services(), []string{}}
	for _, language := range Languages {
		if s.Voice.Speaks(language) {
			answer.Voices = append(answer.Voices, language)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(answer)
}

package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Reception says what happens with visitors beside their identification. All of
// it is off where nothing is said.
type Reception struct {
	Queues   []Queue     `json:"queues"`   // waiting numbers; none: nobody is given one
	Screen   []string    `json:"screen"`   // languages of the waiting room's screen; none: there is no screen
	Help     []HelpQueue `json:"help"`     // staff whom the kiosks' help buttons ring; none: all officers
	Casework Part        `json:"casework"` // the agency's case system, which is told of stages; no url: it is not told
}

// Queue is people who wait for the same desks.
type Queue struct {
	Name    string   `json:"name"`    // small letters and digits
	Label   string   `json:"label"`   // for people
	Letter  string   `json:"letter"`  // before its numbers: A to Z
	Matters []string `json:"matters"` // "desk" (a kiosk sent the person to people), "other", or a service of the kiosk; the others go past
	Desks   []string `json:"desks"`   // that call from it, as the screen shows them

	Premises []string `json:"premises"` // ids of those whose kiosks, desks and screens it has; none: of all, for what no queue of the premises takes
}

// HelpQueue is staff who come when somebody at a kiosk asks for help.
type HelpQueue struct {
	Name     string   `json:"name"`     // small letters and digits
	Label    string   `json:"label"`    // for officers
	Premises []string `json:"premises"` // ids of those whose kiosks ring here; none: of all others
}

// Matters are what a queue can take.
var Matters = []string{"desk", "other", "interview", "identity", "passport", "card", "pay"}

var (
	queueName   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)
	queueLetter = regexp.MustCompile(`^[A-Z]$`)
	premisesID  = regexp.MustCompile(`^pre_[0-9a-f-]{36}$`)
	languageTag = regexp.MustCompile(`^[a-z]{2,3}$`)
)

// orEverywhere is a place of its own for what names none.
func orEverywhere(premises []string) []string {
	if len(premises) == 0 {
		return []string{""}
	}
	return premises
}

func (r Reception) check() []error {
	var errs []error
	refuse := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("reception: "+format, args...))
		}
	}
	refuse(len(r.Queues) > 20 || len(r.Help) > 20, "at most 20 queues")
	refuse(len(r.Screen) > 0 && len(r.Queues) == 0, "a screen shows the numbers of queues, and there are none")
	refuse(len(r.Screen) > 6, "a screen in at most 6 languages: nobody could read more of them")
	for _, l := range r.Screen {
		refuse(!languageTag.MatchString(l), "screen: %q is no language", l)
	}
	taken := map[string]string{}
	for i, q := range r.Queues {
		refuse(!queueName.MatchString(q.Name), "queue %q: use small letters, digits and hyphens", q.Name)
		refuse(q.Label == "" || len(q.Label) > 60, "queue %q: give it a label of at most 60 bytes", q.Name)
		refuse(!queueLetter.MatchString(q.Letter), "queue %q: its letter is one of A to Z", q.Name)
		refuse(slices.ContainsFunc(r.Queues[:i], func(o Queue) bool { return o.Name == q.Name || o.Letter == q.Letter }), "queue %q: another has the same name or letter", q.Name)
		refuse(len(q.Matters) == 0 || len(q.Desks) == 0 || len(q.Desks) > 40, "queue %q: name matters, and 1 to 40 desks", q.Name)
		for _, d := range q.Desks {
			refuse(strings.TrimSpace(d) == "" || len(d) > 40, "queue %q: a desk has 1 to 40 bytes", q.Name)
		}
		for _, m := range q.Matters {
			refuse(!slices.Contains(Matters, m), "queue %q: %q is no matter, they are %s", q.Name, m, strings.Join(Matters, ", "))
			for _, site := range orEverywhere(q.Premises) {
				at := m + " " + site
				refuse(taken[at] != "", "queue %q: %q waits in queue %q", q.Name, m, taken[at])
				taken[at] = q.Name
			}
		}
		for _, site := range q.Premises {
			refuse(!premisesID.MatchString(site), "queue %q: %q is no id of premises", q.Name, site)
		}
	}
	for i, h := range r.Help {
		refuse(!queueName.MatchString(h.Name) || h.Label == "" || len(h.Label) > 60, "help %q: give it a name of small letters and a label", h.Name)
		refuse(slices.ContainsFunc(r.Help[:i], func(o HelpQueue) bool { return o.Name == h.Name }), "help %q is named twice", h.Name)
	}
	if c := r.Casework; c != (Part{}) {
		refuse(!strings.HasPrefix(c.URL, "https://") && !strings.HasPrefix(c.URL, "unix:/"), "casework: begin its url with https:// or unix:/")
		refuse(strings.HasPrefix(c.URL, "https://") && (c.CA == "" || c.Certificate == "" || c.Key == ""), "casework: https needs ca, certificate and key")
		refuse(c.Port != "" && c.Port != "casework" || c.Signer != "", "casework: leave port and signer out")
	}
	return errs
}

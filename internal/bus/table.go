package bus

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Role is a kind of process.
type Role string

// The processes of an installation.
const (
	Door       Role = "door"
	Authority  Role = "authority"
	SFU        Role = "sfu"
	Recorder   Role = "recorder"
	Playback   Role = "playback"
	Supervisor Role = "supervisor"
)

// Roles lists every process, in the order in which they start.
func Roles() []Role { return []Role{Supervisor, Door, Authority, SFU, Recorder, Playback} }

// Name is one process: its role and which one of that role it is. A process
// cannot speak under another name than its certificate's.
type Name struct {
	Role     Role
	Instance string
}

// Main names the process of a role that runs once.
func Main(role Role) Name { return Name{Role: role, Instance: "main"} }

// String prints role and instance as they stand in certificates and logs.
func (n Name) String() string { return string(n.Role) + "." + n.Instance }

var instancePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// ParseName reads what String printed.
func ParseName(text string) (Name, error) {
	role, instance, _ := strings.Cut(text, ".")
	name := Name{Role: Role(role), Instance: instance}
	if !slices.Contains(Roles(), name.Role) || !instancePattern.MatchString(instance) {
		return Name{}, fmt.Errorf("%q names no process", text)
	}
	return name, nil
}

// requests says who may ask whom for what. Patterns are NATS subjects: ">" at
// the end stands for one or more further words.
var requests = []struct {
	from, to Role
	what     []string
}{
	// The door speaks to everybody, but asks authority neither for anything
	// about recording keys nor for a recorder's certificate.
	{Door, Authority, []string{"enrol", "posture.>", "hold", "identify", "read", "admit", "agreement.>", "view", "view.allow", "seal", "revoke", "audit.>", "keyring.records.>", "keyring.special.>", "erasure.>", "keys.>", "backup.>"}},
	{Door, SFU, []string{"leg.>", "forward"}},
	{Door, Recorder, []string{"room.>", "recorder.>"}},
	{Door, Playback, []string{"view.>"}},
	{Door, Supervisor, []string{"playback.>", "process.>"}},

	{SFU, Door, []string{"leg.>"}},

	// A recorder can wrap what it records and never unwrap it again.
	{Recorder, Door, []string{"room.>"}},
	{Recorder, Authority, []string{"certify", "trust", "keyring.recording.create", "keyring.recording.datakey", "keyring.recording.wrap"}},

	// A viewing gets the keys of its one recording: authority looks at the
	// caller's instance, which is the viewing's id.
	// What it reads is sealed; it opens what its keys open.
	{Playback, Recorder, []string{"recorder.files", "recorder.read"}},
	{Playback, Authority, []string{"trust", "keyring.recording.unwrap"}},

	{Supervisor, Door, []string{"process.>"}},
	{Supervisor, Authority, []string{"process.>"}},
	{Supervisor, SFU, []string{"process.>"}},
	{Supervisor, Recorder, []string{"process.>", "recorder.>"}},
	{Supervisor, Playback, []string{"process.>"}},
	{Authority, Supervisor, []string{"process.>"}},
	{SFU, Supervisor, []string{"process.>"}},
	{Recorder, Supervisor, []string{"process.>"}},
	{Playback, Supervisor, []string{"process.>"}},
}

// hearing says who may hear which messages of whom. Every process may publish
// messages under its own name.
var hearing = []struct {
	listener, speaker Role
	topic             []string
}{
	{Door, Authority, []string{">"}},
	{Door, SFU, []string{">"}},
	{Door, Recorder, []string{">"}},
	{Door, Playback, []string{">"}},
	{Authority, Door, []string{"revocation.>"}},
	{SFU, Door, []string{"revocation.>"}},
	{Recorder, Door, []string{"revocation.>", "room.>"}},
	{Playback, Door, []string{"revocation.>"}},
	{Supervisor, Door, []string{"process.>"}},
	{Supervisor, Authority, []string{"process.>"}},
	{Supervisor, SFU, []string{"process.>"}},
	{Supervisor, Recorder, []string{"process.>"}},
	{Supervisor, Playback, []string{"process.>"}},
}

// grant is what one connection may do.
type grant struct{ publish, subscribe []string }

// grants derives a process's subjects from the tables.
func grants(name Name) grant {
	g := grant{
		publish:   []string{eventSubject(name, ">")},
		subscribe: []string{inbox(name) + ".>"},
	}
	for _, rule := range requests {
		for _, what := range rule.what {
			if rule.from == name.Role {
				g.publish = append(g.publish, requestSubject(Name{rule.to, "*"}, name, what))
			}
			if rule.to == name.Role {
				g.subscribe = append(g.subscribe, requestSubject(name, Name{rule.from, "*"}, what))
			}
		}
	}
	for _, rule := range hearing {
		if rule.listener != name.Role {
			continue
		}
		for _, topic := range rule.topic {
			g.subscribe = append(g.subscribe, eventSubject(Name{rule.speaker, "*"}, topic))
		}
	}
	return g
}

func requestSubject(to, from Name, what string) string {
	return "rpc." + to.String() + "." + from.String() + "." + what
}

func eventSubject(speaker Name, topic string) string {
	return "event." + speaker.String() + "." + topic
}

func inbox(name Name) string { return "_INBOX." + name.String() }

// covers reports whether every subject that wanted stands for is within
// granted. Both may hold the wildcards "*" and a final ">".
func covers(granted, wanted string) bool {
	have, want := strings.Split(granted, "."), strings.Split(wanted, ".")
	for i, token := range have {
		if i >= len(want) {
			return false
		}
		if token == ">" {
			return true
		}
		if want[i] == ">" || (token != "*" && token != want[i]) {
			return false
		}
	}
	return len(have) == len(want)
}

func allowed(granted []string, subject string) bool {
	return slices.ContainsFunc(granted, func(g string) bool { return covers(g, subject) })
}

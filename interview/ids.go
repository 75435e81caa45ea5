package interview

import "kuule/internal/id"

type (
	caseKind        struct{}
	hearingKind     struct{}
	participantKind struct{}
	seatKind        struct{}
	deviceKind      struct{}
	agreementKind   struct{}
	premisesKind    struct{}
	legKind         struct{}
	memberKind      struct{}
	groupKind       struct{}
	trackKind       struct{}
	visitKind       struct{}
	ticketKind      struct{}
	recordingKind   struct{}
	utteranceKind   struct{}
	amendmentKind   struct{}
	recordKind      struct{}
	noteKind        struct{}
	eventKind       struct{}
	callKind        struct{}
	numberKind      struct{}
)

func (caseKind) Prefix() string        { return "cas" }
func (hearingKind) Prefix() string     { return "hrg" }
func (participantKind) Prefix() string { return "par" }
func (seatKind) Prefix() string        { return "set" }
func (deviceKind) Prefix() string      { return "dev" }
func (agreementKind) Prefix() string   { return "agr" }
func (premisesKind) Prefix() string    { return "pre" }
func (legKind) Prefix() string         { return "leg" }
func (memberKind) Prefix() string      { return "mem" }
func (groupKind) Prefix() string       { return "grp" }
func (trackKind) Prefix() string       { return "trk" }
func (visitKind) Prefix() string       { return "vis" }
func (ticketKind) Prefix() string      { return "tkt" }
func (recordingKind) Prefix() string   { return "rec" }
func (utteranceKind) Prefix() string   { return "utt" }
func (amendmentKind) Prefix() string   { return "amd" }
func (recordKind) Prefix() string      { return "rcd" }
func (noteKind) Prefix() string        { return "nte" }
func (eventKind) Prefix() string       { return "evt" }
func (callKind) Prefix() string        { return "cal" }
func (numberKind) Prefix() string      { return "num" }

// Typed identifiers of everything that more than one room names.
type (
	CaseID        = id.ID[caseKind]        // a case: one applicant's matter
	HearingID     = id.ID[hearingKind]     // one hearing of a case
	ParticipantID = id.ID[participantKind] // a person in a role at a hearing
	SeatID        = id.ID[seatKind]        // where a participant sits
	DeviceID      = id.ID[deviceKind]      // an attested device of the register
	AgreementID   = id.ID[agreementKind]   // a security agreement
	PremisesID    = id.ID[premisesKind]    // a named room at a named address
	LegID         = id.ID[legKind]         // one device's media connection
	MemberID      = id.ID[memberKind]      // a page instance or a recorder
	GroupID       = id.ID[groupKind]       // the set of members that share keys
	TrackID       = id.ID[trackKind]       // one track of one page instance
	VisitID       = id.ID[visitKind]       // a visit at a kiosk
	TicketID      = id.ID[ticketKind]      // a join ticket
	RecordingID   = id.ID[recordingKind]   // one recorder's recording of a hearing
	UtteranceID   = id.ID[utteranceKind]   // one line of the transcript
	AmendmentID   = id.ID[amendmentKind]   // one correction
	RecordID      = id.ID[recordKind]      // a sealed version of the transcript
	NoteID        = id.ID[noteKind]        // a note that may have to go alone
	EventID       = id.ID[eventKind]       // an audit event
	CallID        = id.ID[callKind]        // a call for help at a kiosk
	NumberID      = id.ID[numberKind]      // a waiting number of a visitor
)

// NewHearingID and its siblings make fresh identifiers.
var (
	NewCaseID        = id.New[caseKind]
	NewHearingID     = id.New[hearingKind]
	NewParticipantID = id.New[participantKind]
	NewSeatID        = id.New[seatKind]
	NewDeviceID      = id.New[deviceKind]
	NewAgreementID   = id.New[agreementKind]
	NewPremisesID    = id.New[premisesKind]
	NewLegID         = id.New[legKind]
	NewMemberID      = id.New[memberKind]
	NewGroupID       = id.New[groupKind]
	NewTrackID       = id.New[trackKind]
	NewVisitID       = id.New[visitKind]
	NewTicketID      = id.New[ticketKind]
	NewRecordingID   = id.New[recordingKind]
	NewUtteranceID   = id.New[utteranceKind]
	NewAmendmentID   = id.New[amendmentKind]
	NewRecordID      = id.New[recordKind]
	NewNoteID        = id.New[noteKind]
	NewEventID       = id.New[eventKind]
	NewCallID        = id.New[callKind]
	NewNumberID      = id.New[numberKind]
)

// ParseHearingID and its siblings read printed identifiers.
var (
	ParseCaseID        = id.Parse[caseKind]
	ParseHearingID     = id.Parse[hearingKind]
	ParseParticipantID = id.Parse[participantKind]
	ParseSeatID        = id.Parse[seatKind]
	ParseDeviceID      = id.Parse[deviceKind]
	ParseAgreementID   = id.Parse[agreementKind]
	ParsePremisesID    = id.Parse[premisesKind]
	ParseLegID         = id.Parse[legKind]
	ParseMemberID      = id.Parse[memberKind]
	ParseGroupID       = id.Parse[groupKind]
	ParseTrackID       = id.Parse[trackKind]
	ParseVisitID       = id.Parse[visitKind]
	ParseTicketID      = id.Parse[ticketKind]
	ParseRecordingID   = id.Parse[recordingKind]
	ParseUtteranceID   = id.Parse[utteranceKind]
	ParseAmendmentID   = id.Parse[amendmentKind]
	ParseRecordID      = id.Parse[recordKind]
	ParseNoteID        = id.Parse[noteKind]
	ParseCallID        = id.Parse[callKind]
)

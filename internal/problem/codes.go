package problem

import "net/http"

// Codes, by the room that gives them. Each needs an entry in registry and a
// title in every language of the pages.
const (
	CodeInternal    Code = "internal"
	CodeMalformed   Code = "malformed"   // JSON, field or parameter that cannot be read
	CodeTooLarge    Code = "too-large"   // body or message over its bound
	CodeTooFast     Code = "too-fast"    // rate bound
	CodeNotFound    Code = "not-found"   // or not for this person
	CodeConflict    Code = "conflict"    // someone changed it first
	CodeNoRoute     Code = "no-route"    // no such path or message
	CodeUnavailable Code = "unavailable" // a process that is needed does not answer
	CodeForbidden   Code = "forbidden"   // the role may not do this
	CodeNotReady    Code = "not-ready"   // the thing exists but not in this state

	// Devices.
	CodeManufacturerUnknown Code = "manufacturer-unknown"
	CodeDeviceNotNamed      Code = "device-not-named" // no agreement in force names it (C3)
	CodeNoPermanentID       Code = "no-permanent-identifier"
	CodeCertificateInvalid  Code = "certificate-invalid"
	CodePostureStale        Code = "posture-stale"
	CodePostureDrift        Code = "posture-drift"
	CodeQuoteRefused        Code = "quote-refused"
	CodeDeviceRevoked       Code = "device-revoked"

	// Gateway and sign-in.
	CodeStartCode     Code = "start-code"     // unknown, used or old start code
	CodeBearer        Code = "bearer"         // missing or wrong bearer
	CodeOrigin        Code = "origin"         // request from another origin
	CodeSignIn        Code = "sign-in"        // identity token missing, wrong or not for this device
	CodeBundleInvalid Code = "bundle-invalid" // page bundle does not verify

	// Agreements and booking.
	CodeAgreementState      Code = "agreement-state"      // transition not allowed
	CodeAgreementSignature  Code = "agreement-signature"  // not signed by the security office
	CodeJustificationNeeded Code = "justification-needed" // remote without written justification (A5)
	CodeVulnerabilityOpen   Code = "vulnerability-open"   // open flag (A6)

	// Admission.
	CodeNotBooked        Code = "not-booked"        // person has no part in this hearing
	CodeDeviceNotSeated  Code = "device-not-seated" // seat belongs to another device
	CodeSeatTaken        Code = "seat-taken"        // seat is held by another device or page
	CodePremises         Code = "premises"          // device is not at the premises agreed (C4)
	CodeNoAgreement      Code = "no-agreement"      // no agreement in force covers it
	CodeTooEarly         Code = "too-early"         // door not open yet
	CodeTooLate          Code = "too-late"          // hearing has ended
	CodeNotAdmitted      Code = "not-admitted"      // still in the waiting room
	CodeDeclined         Code = "declined"          // interviewer did not admit
	CodeTicketInvalid    Code = "ticket-invalid"
	CodeTicketUsed       Code = "ticket-used"
	CodeTicketStale      Code = "ticket-stale"
	CodeTicketDevice     Code = "ticket-device"  // redeemed by another device than named
	CodeTicketHearing    Code = "ticket-hearing" // for another hearing or purpose
	CodeStatementInvalid Code = "statement-invalid"
	CodeRosterInvalid    Code = "roster-invalid"
	CodeClock            Code = "clock" // time outside the hearing's clock

	// Room.
	CodePhase           Code = "phase"            // transition not possible now
	CodeRecorderMissing Code = "recorder-missing" // no recorder is durable (H1)
	CodeMediaRefused    Code = "media-refused"    // offer that the media server cannot accept
	CodeStalled         Code = "stalled"          // the socket does not take its messages

	// Transcript.
	CodeSealed        Code = "sealed"         // a sealed utterance is never changed (J4)
	CodeReasonsNeeded Code = "reasons-needed" // refusal without reasons (J7)
	CodeOutcomeSet    Code = "outcome-set"    // one outcome only (J7)
	CodeNotDelivered  Code = "not-delivered"  // no delivery yet (J1)

	// Recording and evidence.
	CodeRecordingState Code = "recording-state"
	CodeEvidence       Code = "evidence"       // bundle does not verify
	CodePurposeNeeded  Code = "purpose-needed" // viewing without purpose (H6)
	CodeErased         Code = "erased"         // its keys were destroyed (L4)
	CodeKept           Code = "kept"           // a hold or its period keeps it (L1, L2)

	// Kiosk.
	CodeKioskVisit Code = "kiosk-visit" // the visit is over or out of order
	CodeChip       Code = "chip"        // the chip did not answer as it should
)

var registry = map[Code]Entry{
	CodeInternal:    {http.StatusInternalServerError, "something failed inside; it has been logged", WayRetry},
	CodeMalformed:   {http.StatusBadRequest, "the request cannot be read", WayCorrect},
	CodeTooLarge:    {http.StatusRequestEntityTooLarge, "the request is larger than allowed", WayCorrect},
	CodeTooFast:     {http.StatusTooManyRequests, "too many requests in a short time", WayRetry},
	CodeNotFound:    {http.StatusNotFound, "there is no such thing for this person", WayCorrect},
	CodeConflict:    {http.StatusConflict, "someone else changed this first", WayReload},
	CodeNoRoute:     {http.StatusNotFound, "there is no such path or message", WayCorrect},
	CodeUnavailable: {http.StatusServiceUnavailable, "a needed part of the system does not answer", WayRetry},
	CodeForbidden:   {http.StatusForbidden, "this role may not do this", WayAskOffice},
	CodeNotReady:    {http.StatusConflict, "it is not in a state that allows this", WayRetry},

	CodeManufacturerUnknown: {http.StatusForbidden, "the security chip's manufacturer is not known here", WayAskOffice},
	CodeDeviceNotNamed:      {http.StatusForbidden, "no agreement in force names this device", WayAgency},
	CodeNoPermanentID:       {http.StatusForbidden, "the attestation certificate names no device", WayAskOffice},
	CodeCertificateInvalid:  {http.StatusForbidden, "the device's certificate is not valid", WayAskOffice},
	CodePostureStale:        {http.StatusForbidden, "the device has not proved its state lately", WayRetry},
	CodePostureDrift:        {http.StatusForbidden, "the device started differently than approved", WayAskOffice},
	CodeQuoteRefused:        {http.StatusForbidden, "the device's proof of state does not hold", WayAskOffice},
	CodeDeviceRevoked:       {http.StatusForbidden, "this device's approval has ended", WayAgency},

	CodeStartCode:     {http.StatusForbidden, "the start link is unknown, used or too old", WayReload},
	CodeBearer:        {http.StatusUnauthorized, "this page has no session at the device", WayReload},
	CodeOrigin:        {http.StatusForbidden, "the request does not come from this device's page", WayReload},
	CodeSignIn:        {http.StatusUnauthorized, "sign-in is missing or not valid on this device", WaySignIn},
	CodeBundleInvalid: {http.StatusServiceUnavailable, "the pages are not as they were signed", WayAdministrator},

	CodeAgreementState:      {http.StatusConflict, "the agreement is not in a state that allows this", WayAskOffice},
	CodeAgreementSignature:  {http.StatusForbidden, "the agreement is not signed by the security office", WayAskOffice},
	CodeJustificationNeeded: {http.StatusUnprocessableEntity, "a remote hearing needs a written justification", WayCorrect},
	CodeVulnerabilityOpen:   {http.StatusConflict, "an open vulnerability flag needs a decision first", WayCorrect},

	CodeNotBooked:        {http.StatusForbidden, "this person has no part in this hearing", WayInterviewer},
	CodeDeviceNotSeated:  {http.StatusForbidden, "this seat belongs to another device", WayCentre},
	CodeSeatTaken:        {http.StatusConflict, "the seat is held by another device", WayInterviewer},
	CodePremises:         {http.StatusForbidden, "the device is not at the agreed premises", WayAgency},
	CodeNoAgreement:      {http.StatusForbidden, "no agreement in force covers this device and place", WayAgency},
	CodeTooEarly:         {http.StatusForbidden, "the hearing's door is not open yet", WayRetry},
	CodeTooLate:          {http.StatusGone, "the hearing has ended", WayInterviewer},
	CodeNotAdmitted:      {http.StatusForbidden, "the interviewer has not admitted this seat yet", WayInterviewer},
	CodeDeclined:         {http.StatusForbidden, "the interviewer did not admit this seat", WayAgency},
	CodeTicketInvalid:    {http.StatusForbidden, "the join ticket does not hold", WayKiosk},
	CodeTicketUsed:       {http.StatusConflict, "the join ticket was used already", WayNewTicket},
	CodeTicketStale:      {http.StatusForbidden, "the join ticket is not valid at this time", WayNewTicket},
	CodeTicketDevice:     {http.StatusForbidden, "the join ticket names another device", WayAskStaff},
	CodeTicketHearing:    {http.StatusForbidden, "the join ticket is for another hearing or purpose", WayAskStaff},
	CodeStatementInvalid: {http.StatusForbidden, "the page's statement does not hold", WayReload},
	CodeRosterInvalid:    {http.StatusForbidden, "the list of members does not hold", WayReload},
	CodeClock:            {http.StatusUnprocessableEntity, "the time lies outside the hearing", WayCorrect},

	CodePhase:           {http.StatusConflict, "the hearing cannot change phase like this now", WayRetry},
	CodeRecorderMissing: {http.StatusConflict, "no recorder is keeping what is said", WayRetry},
	CodeMediaRefused:    {http.StatusUnprocessableEntity, "the media connection cannot be made like this", WayReload},
	CodeStalled:         {http.StatusRequestTimeout, "the connection does not take its messages", WayReload},

	CodeSealed:        {http.StatusConflict, "what was sealed is never changed; add an amendment", WayCorrect},
	CodeReasonsNeeded: {http.StatusUnprocessableEntity, "a refusal needs its reasons, or the words that none were given", WayCorrect},
	CodeOutcomeSet:    {http.StatusConflict, "the record's outcome is set already", WayInterviewer},
	CodeNotDelivered:  {http.StatusConflict, "the record has not been handed over yet", WayInterviewer},

	CodeRecordingState: {http.StatusConflict, "the recording is not in a state that allows this", WayRetry},
	CodeEvidence:       {http.StatusUnprocessableEntity, "the evidence does not verify", WayAdministrator},
	CodePurposeNeeded:  {http.StatusUnprocessableEntity, "a viewing needs a written purpose", WayCorrect},
	CodeErased:         {http.StatusGone, "it was erased for good: its keys were destroyed", WayAdministrator},
	CodeKept:           {http.StatusConflict, "it is kept: a hold lies on it, or its time has not come", WayInterviewer},

	CodeKioskVisit: {http.StatusConflict, "the visit is over or the step came out of order", WayKiosk},
	CodeChip:       {http.StatusUnprocessableEntity, "the document's chip did not answer as it should", WayAskStaff},
}

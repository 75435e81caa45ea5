package kioskbridge

import (
	"fmt"
	"slices"
	"time"

	"kuule/internal/canon"
	"kuule/interview/ticket"
	"kuule/kiosk-bridge/tunnel"
)

// Policy is by what rules visits are held. Its version, a hash of all of it, is
// signed into every visit's evidence.
type Policy struct {
	V            int                                  `json:"v"`
	Steps        map[tunnel.Service][]ticket.StepName `json:"steps"`         // that each service asks for, where kiosk and installation can
	Tries        map[ticket.StepName]int              `json:"tries"`         // that a person has; 1 where nothing is said
	Seconds      map[ticket.StepName]int              `json:"seconds"`       // for a step with all its tries
	Essential    []string                             `json:"essential"`     // checks without which no kiosk lets go on alone
	Target       int64                                `json:"target_ms"`     // a visit that takes longer names its slow step
	IdentityDays int                                  `json:"identity_days"` // an identity found out is used again so long; 0: never
	Handover     int                                  `json:"handover_seconds"`
	Signed       map[tunnel.Service]map[string]string `json:"signed"` // what is signed, by service and language; "" is the language of last resort
}

// StandardPolicy is what holds where nothing else was said.
func StandardPolicy() Policy {
	interviewSteps := []ticket.StepName{ticket.StepDocument, ticket.StepApplicant, ticket.StepChip, ticket.StepFace, ticket.StepFingers}
	return Policy{
		V: 1,
		Steps: map[tunnel.Service][]ticket.StepName{
			tunnel.ServiceInterview: interviewSteps,
			tunnel.ServiceIdentity:  interviewSteps,
			tunnel.ServicePassport:  interviewSteps,
			tunnel.ServiceCard:      append(append([]ticket.StepName{}, interviewSteps...), ticket.StepPhoto, ticket.StepSignature, ticket.StepScan),
		},
		Tries:     map[ticket.StepName]int{ticket.StepDocument: 2, ticket.StepApplicant: 2, ticket.StepChip: 2, ticket.StepFace: 3, ticket.StepFingers: 3, ticket.StepPhoto: 3},
		Seconds:   map[ticket.StepName]int{ticket.StepDocument: 90, ticket.StepApplicant: 90, ticket.StepChip: 60, ticket.StepFace: 30, ticket.StepFingers: 60, ticket.StepPhoto: 60, ticket.StepSignature: 60, ticket.StepScan: 120},
		Essential: essential, Target: 90_000, IdentityDays: 30, Handover: 15 * 60,
		Signed: map[tunnel.Service]map[string]string{tunnel.ServiceCard: {
			"":    "I apply for a residence permit card. The photograph and the signature that I have given here are for the card.",
			"fi":  "Haen oleskelulupakorttia. Tässä antamani valokuva ja allekirjoitus ovat korttia varten.",
			"ar":  "أتقدم بطلب للحصول على بطاقة تصريح إقامة. الصورة والتوقيع اللذان قدمتهما هنا مخصصان للبطاقة.",
			"sv":  "Jag ansöker om uppehållstillståndskort. Fotot och underskriften som jag har gett här är för kortet.",
			"en":  "I apply for a residence permit card. The photograph and the signature that I have given here are for the card.",
			"so":  "Waxaan codsanayaa kaarka ogolaanshaha deganaanshaha. Sawirka iyo saxiixa aan halkan ku bixiyay waxay u yihiin kaarka.",
			"fa":  "من درخواست کارت اقامت می\u200cکنم. عکس و امضایی که اینجا داده\u200cام برای کارت است.",
			"prs": "من برای کارت اقامت درخواست می\u200cدهم. عکس و امضایی که اینجا داده\u200cام برای کارت است.",
			"ru":  "Я подаю заявление на карту вида на жительство. Фотография и подпись, которые я здесь дал, предназначены для карты.",
			"uk":  "Я подаю заяву на картку дозволу на проживання. Фотографія та підпис, які я тут надав, призначені для картки.",
			"ckb": "داوای کارتی مۆڵەتی نیشتەجێبوون دەکەم. ئەو وێنە و واژۆیەی لێرە داومن بۆ کارتەکەن.",
			"kmr": "Ez ji bo karta destûra rûniştinê serlêdanê dikim. Wêne û îmzeya ku min li vir dane ji bo kartê ne.",
			"tr":  "Oturum izni kartı için başvuruyorum. Burada verdiğim fotoğraf ve imza kart içindir.",
			"ps":  "زه د اوسېدو د اجازې کارت لپاره غوښتنه کوم. هغه عکس او لاسلیک چې ما دلته ورکړي د کارت لپاره دي.",
			"fr":  "Je demande une carte de séjour. La photo et la signature que j’ai données ici sont pour la carte.",
		}},
	}
}

// check refuses a policy by which somebody went on alone without an essential
// check.
func (p Policy) check() error {
	for _, name := range essential {
		if !slices.Contains(p.Essential, name) {
			return fmt.Errorf("nobody goes on alone without the check %s, and it is not among the essential ones", name)
		}
	}
	return nil
}

// Version is SHA-256 of the policy's canonical text, in base64url.
func (p Policy) Version() (string, error) {
	text, err := canon.Marshal(p)
	if err != nil {
		return "", err
	}
	return ticket.Hash(text), nil
}

func (p Policy) tries(step ticket.StepName) int { return max(1, p.Tries[step]) }

func (p Policy) wait(step ticket.StepName) time.Duration {
	if s := p.Seconds[step]; s > 0 {
		return time.Duration(s) * time.Second
	}
	return time.Minute
}

// text is what somebody signs for a service.
func (p Policy) text(s tunnel.Service, language string) string {
	texts := p.Signed[s]
	if t, ok := texts[language]; ok {
		return t
	}
	return texts[""]
}

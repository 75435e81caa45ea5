package certificate

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/text/encoding/charmap"
	"rsc.io/qr"
)

// The page, in points: A4 (ISO 216).
const (
	pageWidth, pageHeight = 595, 842
	margin                = 70
)

// ErrLetters says that a name holds letters for which this machine has no font
// (fonts-noto-core has nearly all); the desk makes such a certificate.
var ErrLetters = errors.New("a letter for which there is no font here: install fonts-noto-core")

// PDF draws a certificate on one page, in Finnish, Swedish and English: the
// languages in which authorities read it. What can be written with the fonts that
// every PDF reader and printer has (ISO 32000-1, 9.6.2.2) is text; names in other
// scripts are shaped and drawn as outlines. A letter of no font is ErrLetters.
func PDF(c Claims, code string, zone *time.Location) ([]byte, error) {
	drawn, err := qr.Encode(code, qr.L)
	if err != nil {
		return nil, fmt.Errorf("draw the code: %w", err)
	}
	p := &page{y: pageHeight - margin}
	date := time.Unix(c.Issued, 0).In(zone).Format("2.1.2006")
	p.line("F2", 20, 30, "Todistus vireilläolosta")
	p.line("F1", 13, 20, "Intyg om anhängigt ärende · Certificate of a pending matter")
	p.y -= 24
	for _, row := range [][2]string{
		{"Nimi · Namn · Name", c.Name},
		{"Asianumero · Ärendenummer · Matter", c.Diary},
		{"Päivä · Datum · Date", date},
	} {
		p.line("F1", 10, 18, row[0])
		p.line("F2", 15, 30, row[1])
	}
	p.y -= 10
	for _, text := range []string{
		"Henkilöllä on tänä päivänä vireillä asia Maahanmuuttovirastossa.",
		"Personen har denna dag ett ärende anhängigt hos Migrationsverket i Finland.",
		"On this day the person has a matter pending at the Finnish Immigration Service.",
		"",
		"Tämä ei ole henkilöllisyystodistus. · Detta är ingen identitetshandling.",
		"This is no identity document.",
	} {
		p.line("F1", 12, 19, text)
	}
	p.y -= 20
	const side = 200.0
	p.square(drawn, margin, p.y-side, side)
	p.y -= side + 22
	p.line("F1", 9, 13, "Aitouden voi tarkistaa virastosta tällä koodilla. · Äktheten kan kontrolleras hos myndigheten med koden.")
	p.line("F1", 9, 16, "The agency can check with this code whether the certificate is genuine.")
	for rest := code; rest != ""; {
		n := min(len(rest), 88)
		p.line("F3", 8, 11, rest[:n])
		rest = rest[n:]
	}
	if p.err != nil {
		return nil, p.err
	}
	return p.file(), nil
}

// Slip is a waiting number on a paper: the number, its queue and when it was
// drawn, nothing of who holds it.
func Slip(number, queue string, drawn time.Time) ([]byte, error) {
	p := &page{y: pageHeight - margin - 40}
	p.line("F2", 96, 60, number)
	p.line("F2", 24, 34, queue)
	p.line("F1", 16, 20, drawn.Format("2.1.2006 15:04"))
	if p.err != nil {
		return nil, p.err
	}
	return p.file(), nil
}

// page is the content of one page, written from the top down.
type page struct {
	b   bytes.Buffer
	y   float64
	err error
}

func (p *page) line(font string, size, leading float64, text string) {
	encoded, err := charmap.Windows1252.NewEncoder().String(text)
	if err != nil { // no letters that every printer has: they are drawn
		if _, err := words.draw(&p.b, text, size, margin, p.y); err != nil && p.err == nil {
			p.err = err
		}
		p.y -= leading
		return
	}
	escaped := strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`, "\r", " ", "\n", " ").Replace(encoded)
	fmt.Fprintf(&p.b, "BT /%s %g Tf %d %.1f Td (%s) Tj ET\n", font, size, margin, p.y, escaped)
	p.y -= leading
}

func (p *page) square(code *qr.Code, x, y, side float64) {
	each := side / float64(code.Size)
	for row := range code.Size {
		for column := range code.Size {
			if code.Black(column, row) {
				fmt.Fprintf(&p.b, "%.3f %.3f %.3f %.3f re\n", x+float64(column)*each, y+side-float64(row+1)*each, each, each)
			}
		}
	}
	p.b.WriteString("f\n")
}

// file writes the PDF around the page (ISO 32000-1, 7.5).
func (p *page) file() []byte {
	font := func(name string) string {
		return "<< /Type /Font /Subtype /Type1 /BaseFont /" + name + " /Encoding /WinAnsiEncoding >>"
	}
	objects := []string{
		"<< /Type /Catalog /Pages 2 0 R /Lang (fi) >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		fmt.Sprintf("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Resources << /Font << /F1 5 0 R /F2 6 0 R /F3 7 0 R >> >> /Contents 4 0 R >>", pageWidth, pageHeight),
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", p.b.Len(), p.b.String()),
		font("Helvetica"), font("Helvetica-Bold"), font("Courier"),
	}
	var out bytes.Buffer
	out.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	offsets := make([]int, len(objects))
	for i, o := range objects {
		offsets[i] = out.Len()
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	table := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, at := range offsets {
		fmt.Fprintf(&out, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&out, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, table)
	return out.Bytes()
}

package duplicate

import (
	"fmt"
	"io"
	"math"
)

// Arithmetic is what a threshold means for a register of a size: false hits are
// a matter of numbers before they are one of quality.
type Arithmetic struct {
	Size     int     // templates in the register
	FMR      float64 // chance that two different people match at the threshold
	PerVisit float64 // false hits that one honest person has on average: Size times FMR
	FPIR     float64 // chance that an honest person has one at least: 1-(1-FMR)^Size
	PerDay   float64 // tasks a day that are false, for so many visits
}

// Count does it. It takes comparisons as independent of each other, which
// relatives are not: reality is worse.
func Count(size int, fmr float64, visits int) Arithmetic {
	a := Arithmetic{Size: size, FMR: fmr, PerVisit: float64(size) * fmr}
	// 1-(1-p)^n as -expm1(n·log1p(-p)): p of 1e-9 is lost in 1-p.
	a.FPIR = -math.Expm1(float64(size) * math.Log1p(-fmr))
	a.PerDay = a.FPIR * float64(visits)
	return a
}

// Needed is the false match rate that a single comparison must have, so that
// one honest person in so many has a false hit (fpir between 0 and 1).
func Needed(size int, fpir float64) float64 {
	return -math.Expm1(math.Log1p(-fpir) / float64(size))
}

// PrintThresholds writes what thresholds mean for a register of a size and so
// many visits a day, for those who choose one.
func PrintThresholds(w io.Writer, size, visits int) error {
	_, err := fmt.Fprintf(w, "A register of %d templates, %d visits a day of people who are not in it twice:\n\n%12s  %22s  %24s  %16s\n",
		size, visits, "FMR", "honest people with hit", "false hits per search", "false tasks/day")
	for exponent := 4; err == nil && exponent <= 10; exponent++ {
		a := Count(size, math.Pow10(-exponent), visits)
		_, err = fmt.Fprintf(w, "%12.0e  %21.4f%%  %24.6f  %16.2f\n", a.FMR, 100*a.FPIR, a.PerVisit, a.PerDay)
	}
	for _, fpir := range []float64{0.01, 0.001} {
		if err == nil {
			_, err = fmt.Fprintf(w, "\nSo that at most one honest person in %.0f has a false hit, one comparison may be wrong once in %.0f (FMR %.1e).", 1/fpir, 1/Needed(size, fpir), Needed(size, fpir))
		}
	}
	if err == nil {
		_, err = fmt.Fprintln(w, "\n\nFMR: false match rate of one comparison at the threshold, as the maker's measurement says.\nComparisons are taken as independent. Relatives and bad pictures are not: reality is worse.")
	}
	return err
}

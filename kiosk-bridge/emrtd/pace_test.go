package emrtd

import (
	"bytes"
	"context"
	"crypto/aes"
	"encoding/hex"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// script is a chip that answers a fixed list, and checks what it is asked.
type script struct {
	t     *testing.T
	steps [][2]string // command, answer; an empty command is not compared
}

func (s *script) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	s.t.Helper()
	if len(s.steps) == 0 {
		return nil, errors.New("nothing more is expected")
	}
	step := s.steps[0]
	s.steps = s.steps[1:]
	if want := unhex(s.t, step[0]); len(want) > 0 && !bytes.Equal(apdu, want) {
		s.t.Errorf("command %X, want %X", apdu, want)
	}
	return unhex(s.t, step[1]), nil
}

// The worked example of 9303-11, appendix G.1: generic mapping on
// brainpoolP256r1 with AES-128.
var workedExample = struct {
	cardAccess, mapSecret, secret string
	steps                         [][2]string
}{
	cardAccess: "31143012060A04007F0007020204020202010202010D",
	mapSecret:  "7F4EF07B9EA82FD78AD689B38D0BC78CF21F249D953BC46F4C6E19259C010F99",
	secret:     "A73FB703AC1436A18E0CFA5ABB3F7BEC7A070E7A6788486BEE230C4A22762595",
	steps: [][2]string{
		{"0022C1A40F800A04007F00070202040202830101", "9000"},
		{"10860000027C0000", "7C12801095A3A016522EE98D01E76CB6B98B42C39000"},
		{
			"10860000457C438141047ACF3EFC982EC45565A4B155129EFBC74650DCBFA6362D896FC70262E0C2CC5E544552DCB6725218799115B55C9BAA6D9F6BC3A9618E70C25AF71777A9C4922D00",
			"7C43824104824FBA91C9CBE26BEF53A0EBE7342A3BF178CEA9F45DE0B70AA601651FBA3F5730D8C879AAA9C9F73991E61B58F4D52EB87A0A0C709A49DC63719363CCD13C549000",
		},
		{
			"10860000457C438341042DB7A64C0355044EC9DF190514C625CBA2CEA48754887122F3A5EF0D5EDD301C3556F3B3B186DF10B857B58F6A7EB80F20BA5DC7BE1D43D9BF850149FBB3646200",
			"7C438441049E880F842905B8B3181F7AF7CAA9F0EFB743847F44A306D2D28C1D9EC65DF6DB7764B22277A2EDDC3C265A9F018F9CB852E111B768B326904B59A0193776F0949000",
		},
		{"008600000C7C0A8508C2B0BD78D94BA86600", "7C0A86083ABB9674BCE93C089000"},
	},
}

func exampleOffer(t *testing.T) paceOffer {
	t.Helper()
	infos, err := parseSecurityInfos(unhex(t, workedExample.cardAccess))
	if err != nil {
		t.Fatal(err)
	}
	offer, ambiguous, found := infos.best()
	if !found || ambiguous || offer.curve.name != "brainpoolP256r1" || offer.algorithm != algAES128 || offer.mapping != mappingGeneric {
		t.Fatalf("EF.CardAccess was misread: %+v", offer)
	}
	return offer
}

// examplePassword is the zone's information T22000129 3 640812 5 101031 8.
func examplePassword() Password {
	return MRZPassword(MRZ{DocumentNumber: "T22000129", DateOfBirth: "640812", DateOfExpiry: "101031"})
}

func exampleSecrets(t *testing.T) paceSecrets {
	return secretsOf(t, workedExample.mapSecret, workedExample.secret)
}

func secretsOf(t *testing.T, secrets ...string) paceSecrets {
	return func(g *group, base projective) (keyPair, error) {
		k := unhex(t, secrets[0])
		secrets = secrets[1:]
		public, err := g.encode(g.multiply(k, base))
		return keyPair{k, public}, err
	}
}

func TestPACEOfTheStandard(t *testing.T) {
	t.Parallel()
	pw := examplePassword()
	if want := unhex(t, "7E2D2A41C74EA0B38CD36F863939BFA8E9032AAD"); !bytes.Equal(pw.secret, want) {
		t.Errorf("password %X", pw.secret)
	}
	if got := algAES128.derive(pw.secret, 3); !bytes.Equal(got, unhex(t, "89DED1B26624EC1E634C1989302849DD")) {
		t.Errorf("key of the password %X", got)
	}
	s, err := openPACE(t.Context(), &script{t, workedExample.steps}, exampleOffer(t), false, pw, exampleSecrets(t))
	if err != nil {
		t.Fatal(err)
	}
	want, err := newAES(unhex(t, "F5F0E35C0D7161EE6724EE513A0D9A7F"), unhex(t, "FE251C7858B356B24514B3BD5F4297D1"))
	if err != nil {
		t.Fatal(err)
	}
	ssc, text := bytes.Repeat([]byte{7}, 16), bytes.Repeat([]byte{9}, 32)
	if !bytes.Equal(s.channel.suite.encrypt(ssc, text), want.encrypt(ssc, text)) || !bytes.Equal(s.channel.suite.mac(text), want.mac(text)) {
		t.Error("session keys are not the standard's")
	}
	if !bytes.Equal(s.channel.ssc, make([]byte, 16)) {
		t.Errorf("counter begins at %X", s.channel.ssc)
	}
}

// The worked example of 9303-11, appendix I: chip authentication mapping on
// brainpoolP256r1 with AES-128.
func TestPACEWithChipMappingOfTheStandard(t *testing.T) {
	t.Parallel()
	infos, err := parseSecurityInfos(unhex(t, "31143012060A04007F0007020204060202010202010D"))
	if err != nil {
		t.Fatal(err)
	}
	offer, _, found := infos.best()
	if !found || offer.mapping != mappingCAM {
		t.Fatalf("offer %+v", offer)
	}
	pw := MRZPassword(MRZ{DocumentNumber: "C11T002JM", DateOfBirth: "960812", DateOfExpiry: "231031"})
	s, err := openPACE(t.Context(), &script{t, [][2]string{
		{"0022C1A40F800A04007F00070202040602830101", "9000"},
		{"10860000027C0000", "7C128010CB60E8E0D85B76A9BD304747C2AD42E29000"},
		{
			"10860000457C438141047F1D410ADB7DDB3B84BF1030800981A9105D7457B4A3ADE002384F3086C67EDE1AB889104A27DB6D842B019020FBF3CEACB0DC627F7BDCAC29969E19D0E553C100",
			"7C43824104A234236AA9B9621E8EFB73B5245C0E09D2576E5277183C1208BDD55280CAE8B304F365713A356E65A451E165ECC9AC0AC46E3771342C8FE5AEDD092685338E239000",
		},
		{
			"10860000457C43834104446C934084D9DAB863944F219520076C29EE3F7AE6722B11FF319EC1C7728F955483400BFF60BF0C5929270009277DC2A515E12575010AD9BA916CF1BF86FEFC00",
			"7C4384410402AD566F3C6EC7F9324509AD50A51FA52030782A4968FCFEDF737DAEA993333111C3B9B4C2287789BD137E7F8AA882E2A3C633CCD6ECC2C63C57AD401A09C2E19000",
		},
		{
			"008600000C7C0A8508E86BD06018A1CD3B00",
			"7C3C86088596CF055C67C1A38A301EEA964DAAE372AC990E3EFDE6333353BFC89A6704D93DA8798CF77F5B7A54BD10CBA372B42BE0B9B5F28AA8DE2F4F929000",
		},
	}}, offer, false, pw, secretsOf(t,
		"5D8BB87BD74D985A4B7D4325B9F7B976FE835122773400798914AA22738135CC", "76ECFDAA9841C323A3F5FC5E88B88DB3EFF7E35EBF57A7E6946CB630006C2120"))
	if err != nil {
		t.Fatal(err)
	}
	if want := unhex(t, "85DC3FA93D0952BFA82F5FD189EE75BD82F11D1F0B8ED4BF5319AC9B53C426B3"); !bytes.Equal(s.proof, want) {
		t.Errorf("chip authentication data %X", s.proof)
	}
	key := func(point string) []chipAuthKey {
		x, y, err := offer.curve.point(unhex(t, point))
		if err != nil {
			t.Fatal(err)
		}
		return []chipAuthKey{{&ecKey{offer.curve, x, y}, -1}}
	}
	static := key("041872709494399E7470A6431BE25E83EEE24FEA568C2ED28DB48E05DB3A610DC884D256A40E35EFCB59BF6753D3A489D28C7A4D973C2DA138A6E7A4A08F68E16F")
	other := key("04824FBA91C9CBE26BEF53A0EBE7342A3BF178CEA9F45DE0B70AA601651FBA3F5730D8C879AAA9C9F73991E61B58F4D52EB87A0A0C709A49DC63719363CCD13C54")
	elsewhere := groupOf(t, "P-521").curve
	foreign := chipAuthKey{&ecKey{elsewhere, elsewhere.gx, elsewhere.gy}, -1}
	if err := s.provenBy([]chipAuthKey{foreign, other[0], static[0]}); err != nil {
		t.Errorf("the chip's own key: %v", err)
	}
	for name, keys := range map[string][]chipAuthKey{"another key": other, "no key": nil} {
		if err := s.provenBy(keys); !errors.Is(err, ErrNotOriginal) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, proof := range map[string][]byte{"none": nil, "zero": make([]byte, 32), "too long": make([]byte, 33), "changed": append([]byte{1}, s.proof[1:]...)} {
		s.proof = proof
		if err := s.provenBy(static); !errors.Is(err, ErrNotOriginal) {
			t.Errorf("proof %s: %v", name, err)
		}
	}
}

// What a chip, or somebody in its place, may send that is wrong. Each has its
// own end, and none of them is a channel.
func TestPACERefusesWrongAnswers(t *testing.T) {
	t.Parallel()
	point := strings.Repeat("11", 64)
	for name, c := range map[string]struct {
		step   int
		answer string
		want   error
	}{
		"refuses the protocol":    {0, "6A80", nil},
		"no nonce":                {1, "7C009000", ErrTLV},
		"empty nonce":             {1, "7C0280009000", ErrResponse},
		"odd nonce":               {1, "7C03800101" + "9000", ErrResponse},
		"long nonce":              {1, "7C328030" + strings.Repeat("00", 48) + "9000", ErrResponse},
		"mapping off the curve":   {2, "7C43824104" + point + "9000", ErrCurve},
		"mapping at infinity":     {2, "7C0382010" + "09000", ErrCurve},
		"mapping sent back":       {2, "7C43824104" + workedExample.steps[2][0][20:148] + "9000", ErrChipNotGenuine},
		"key off the curve":       {3, "7C43844104" + point + "9000", ErrCurve},
		"key sent back":           {3, "7C43844104" + workedExample.steps[3][0][20:148] + "9000", ErrChipNotGenuine},
		"another object":          {3, "7C43824104" + point + "9000", ErrTLV},
		"password refused":        {4, "6300", ErrPACERefused},
		"password refused, count": {4, "63C2", ErrPACERefused},
		"wrong token":             {4, "7C0A86083ABB9674BCE93C099000", ErrChipNotGenuine},
		"short token":             {4, "7C0386013A9000", ErrChipNotGenuine},
		"no token":                {4, "7C009000", ErrTLV},
	} {
		steps := append([][2]string{}, workedExample.steps...)
		steps[c.step][1] = c.answer
		s, err := openPACE(t.Context(), &script{t, steps}, exampleOffer(t), false, examplePassword(), exampleSecrets(t))
		var named *paceError
		if s != nil || !errors.As(err, &named) || (c.want != nil && !errors.Is(err, c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A wrong password leads to another base, so that the chip's token cannot fit.
func TestPACEWithAnotherPasswordFails(t *testing.T) {
	t.Parallel()
	other := MRZPassword(MRZ{DocumentNumber: "T22000128", DateOfBirth: "640812", DateOfExpiry: "101031"})
	steps := append([][2]string{}, workedExample.steps...)
	for i := range steps {
		steps[i][0] = ""
	}
	if _, err := openPACE(t.Context(), &script{t, steps}, exampleOffer(t), false, other, exampleSecrets(t)); !errors.Is(err, ErrChipNotGenuine) {
		t.Errorf("got %v", err)
	}
}

func TestCardAccessNumbers(t *testing.T) {
	t.Parallel()
	if _, err := CANPassword("123456"); err != nil {
		t.Error(err)
	}
	for _, can := range []string{"", "12345", "1234567", "12345a", "１２"} {
		if _, err := CANPassword(can); !errors.Is(err, ErrCAN) {
			t.Errorf("%q: %v", can, err)
		}
	}
}

// RFC 4493, section 4.
func TestCMACOfTheStandard(t *testing.T) {
	t.Parallel()
	b, err := aes.NewCipher(unhex(t, "2b7e151628aed2a6abf7158809cf4f3c"))
	if err != nil {
		t.Fatal(err)
	}
	msg := unhex(t, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	for n, want := range map[int]string{
		0: "bb1d6929e95937287fa37d129b756746", 16: "070a16b46b4d4144f79bdd9dd04a287c",
		40: "dfa66747de9ae63030ca32611497c827", 64: "51f0bebf7e3b9d92fc49741779363cfe",
	} {
		if got := hex.EncodeToString(cmac(b, msg[:n])); got != want {
			t.Errorf("%d bytes: %s, want %s", n, got, want)
		}
	}
}

// Another implementation agrees on shared secrets over curves that Go does not
// have.
func TestOpenSSLAgreesOnSharedSecrets(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"brainpoolP256r1", "brainpoolP320r1", "brainpoolP384r1", "brainpoolP512r1"} {
		o := newOpenSSL(t)
		o.run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:"+name, "-out", o.file("key"))
		o.run("pkey", "-in", o.file("key"), "-pubout", "-outform", "DER", "-out", o.file("public"))
		spki, err := os.ReadFile(o.file("public"))
		if err != nil {
			t.Fatal(err)
		}
		g := groupOf(t, name)
		base, err := g.generator()
		if err != nil {
			t.Fatal(err)
		}
		own, err := g.newKeyPair(base)
		if err != nil {
			t.Fatal(err)
		}
		head := len(spki) - len(own.public) // the point ends the key
		theirs, err := g.decode(spki[head:])
		if err != nil {
			t.Fatal(err)
		}
		peer := o.write("peer", concat(spki[:head], own.public))
		o.run("pkeyutl", "-derive", "-inkey", o.file("key"), "-peerkey", peer, "-peerform", "DER", "-out", o.file("shared"))
		want, err := os.ReadFile(o.file("shared"))
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := g.coordinates(g.multiply(own.secret, theirs))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: shared secret %x, openssl %x", name, got, want)
		}
	}
}

// Another implementation agrees on CMAC with keys of all lengths.
func TestOpenSSLAgreesOnCMAC(t *testing.T) {
	t.Parallel()
	o := newOpenSSL(t)
	for _, bits := range []string{"128", "192", "256"} {
		n, _ := new(big.Int).SetString(bits, 10)
		key := bytes.Repeat([]byte{0x5A, 3, 0xC7, 0xEE}, int(n.Int64())/32)
		b, err := aes.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		for _, length := range []int{1, 15, 16, 17, 48, 100} {
			msg := bytes.Repeat([]byte{0xAB, 1}, length)[:length]
			out, err := exec.Command(o.path, "mac", "-cipher", "AES-"+bits+"-CBC", "-macopt", "hexkey:"+hex.EncodeToString(key), "-in", o.write("msg", msg), "CMAC").Output()
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.TrimSpace(strings.ToLower(string(out))); hex.EncodeToString(cmac(b, msg)) != want {
				t.Errorf("AES-%s, %d bytes: %x, openssl %s", bits, length, cmac(b, msg), want)
			}
		}
	}
}

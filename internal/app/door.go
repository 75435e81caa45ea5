package app

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"kuule/agreements"
	"kuule/attestation"
	"kuule/attestation/wire"
	"kuule/internal/audit"
	auditremote "kuule/internal/audit/remote"
	"kuule/internal/bus"
	"kuule/internal/keyring"
	keyringremote "kuule/internal/keyring/remote"
	"kuule/internal/metrics"
	"kuule/internal/problem"
	"kuule/internal/signin"
	"kuule/internal/store"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/admission"
	"kuule/interview/agreement"
	"kuule/interview/ledger"
	"kuule/interview/media"
	"kuule/interview/quality"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/duplicate"
	"kuule/kiosk-bridge/engines"
	"kuule/recorder"
	"kuule/signaling"
	"kuule/transcript"
)

// Times of the door's HTTP side.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	deviceCached      = 2 * time.Second // how long authority's word on a certificate is reused
	personCached      = time.Minute     // how long a verified identity token is reused
	answerTimeout     = time.Minute     // of an answer of the interface, to its last byte
	bundleTimeout     = 10 * time.Minute
	enrolTimeout      = 15 * time.Second
	maxEnrolling      = 32 // requests at one time; authority answers four times as many
)

// door is the process that everybody outside speaks to.
type door struct {
	in       *installation
	conn     *bus.Conn
	db       *bun.DB
	trust    *x509.CertPool // of device certificates
	hearings *interview.Store
	register *agreements.Store
	tickets  *kioskbridge.SQL
	issuers  *issuers
	records  *transcript.Store
	keeper   *signaling.Keeper
	intakes  sync.Map // HearingID → BegunIntake: back-ups that are being taken in
	hub      *signaling.Hub
	rules    *admission.Engine
	people   *signin.Verifier
	posture  *attestation.PostureServer
	log      auditremote.Client
	epoch    int64 // of the leases that this run of the door holds
	saltKey  []byte
	sealer   *caseSealer
	ring     keyring.Keyring
	viewings *viewingDesk
	keeping  *keepingDesk
	paths    *paths
	quality  *quality.Keeper

	visitTimes visitTimes
	queues     *kioskbridge.Queues

	mu         sync.Mutex
	verdicts   map[interview.DeviceID]attestation.Verdict
	devices    map[[32]byte]cachedDevice
	persons    map[[32]byte]cachedPerson
	biometrics *biometrics // what compares people
	bridge     *kioskbridge.Bridge
}

type cachedDevice struct {
	device wire.Device
	until  time.Time
}

type cachedPerson struct {
	identity signin.Identity
	until    time.Time
}

// maxCached bounds each cache; a full one is emptied.
const maxCached = 4096

func runDoor(ctx context.Context, in *installation, conn *bus.Conn, ready func() error) error {
	db, err := store.Open(ctx, in.DatabaseAddress())
	if err != nil {
		return err
	}
	defer db.Close()
	d, err := openDoor(in, conn, db)
	if err != nil {
		return err
	}
	defer d.keeper.Close()
	d.hub = signaling.NewHub(signaling.Config{
		Admission: joins{d}, Hearings: hearings{d}, Media: busMedia{conn}, Recorders: recorders{d},
		Journal: d.keeper, Audit: joinAudit{d}, Limits: signaling.Defaults, Log: slog.Default(),
	})
	defer d.hub.Close()
	if err := d.hearLegs(); err != nil {
		return err
	}
	defer d.quality.Close()
	if err := metrics.Serve(ctx, in.metricsPort(conn.Name()), metrics.Show(d.show)); err != nil {
		return err
	}
	if _, err := bus.Subscribe(conn, bus.SFU, "hint", func(_ bus.Name, _ string, h media.Hint) { d.hub.Hint(h) }); err != nil {
		return err
	}
	if _, err := bus.Subscribe(conn, bus.Recorder, "head", func(_ bus.Name, _ string, c recorder.Checkpoint) { d.takeHead(c) }); err != nil {
		return err
	}
	background, cancel := context.WithCancel(ctx)
	defer cancel()
	rooms, err := serveBusRooms(background, conn, d.hub)
	if err != nil {
		return err
	}
	defer rooms.work.Wait()
	defer cancel()
	bridge, err := d.openBridge(ctx)
	if err != nil {
		return err
	}
	defer d.biometrics.close()
	defer bridge.Close()
	tell, err := d.openCasework()
	if err != nil {
		return err
	}
	mux := d.handler(bridge)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()
	tasks.Go(func() { audit.Worker{DB: db, Log: d.log}.Run(background) })
	tasks.Go(func() { d.handOverAgreements(background) })
	tasks.Go(func() { d.keeping.runJobs(background) })
	tasks.Go(func() { d.viewings.run(background) })
	tasks.Go(func() { d.biometrics.run(background) })
	if tell != nil {
		tasks.Go(func() { tell(background) })
	}
	return d.serve(ctx, mux, ready)
}

func openDoor(in *installation, conn *bus.Conn, db *bun.DB) (*door, error) {
	d := &door{
		in: in, conn: conn, db: db, log: auditremote.New(conn), epoch: time.Now().Unix(),
		verdicts: map[interview.DeviceID]attestation.Verdict{}, devices: map[[32]byte]cachedDevice{}, persons: map[[32]byte]cachedPerson{},
	}
	office, err := trust.Key(in.trust.OfficeKey)
	if err != nil {
		return nil, err
	}
	sealing, err := in.trust.Sealing()
	if err != nil {
		return nil, err
	}
	if d.trust, err = trust.Pool(in.trust.DeviceRoots); err != nil {
		return nil, err
	}
	if d.rules, err = admission.New(); err != nil {
		return nil, err
	}
	if d.people, err = verifierOf(in.Identity); err != nil {
		return nil, err
	}
	if d.saltKey, err = loadSecret(filepath.Join(in.layout.Door(), "salt.key")); err != nil {
		return nil, err
	}
	d.ring = keyringremote.New(conn)
	d.sealer = newCaseSealer(db, d.ring)
	if d.issuers, err = newIssuers(in, db); err != nil {
		return nil, err
	}
	outbox := ledger.Outbox{}
	d.register = agreements.NewStore(db, office, outbox, time.Now)
	d.hearings = interview.NewStore(db, interview.Config{Sealer: d.sealer, Register: d.register, Outbox: outbox})
	d.tickets = kioskbridge.NewSQL(db, outbox)
	d.records = newTranscripts(d, db, outbox, sealing)
	d.keeper = signaling.NewKeeper(db, slog.Default())
	if d.paths, err = newPaths(in, conn); err != nil {
		return nil, err
	}
	d.queues = d.openQueues()
	d.viewings = newViewingDesk(d)
	if d.keeping, err = newKeepingDesk(d); err != nil {
		return nil, err
	}
	d.posture = &attestation.PostureServer{Verifier: busVerifier{conn}, Verdict: d.takeVerdict, Log: slog.Default()}
	return d, nil
}

func (d *door) openBridge(ctx context.Context) (*kioskbridge.Bridge, error) {
	key, err := readKey(d.in.path(bridgeKeyFile))
	if err != nil {
		return nil, err
	}
	if err := d.issuers.load(); err != nil {
		return nil, err
	}
	c := kioskbridge.Config{
		Kiosks: d, Bookings: d, Judge: d.issuers.judge, Store: d.tickets, Sealer: d.sealer, Key: key, Log: slog.Default(), Ended: d.visitTimes.add,
		Stages: d.in.Reception.Casework.URL != "", Pieces: pieceSealer{d.ring},
	}
	b, err := d.openBiometrics(ctx, key)
	if err != nil {
		return nil, err
	}
	d.biometrics = b
	c.Decode, c.Faces, c.Fingers, c.Liveness, c.Quality, c.Register, c.Duplicates = engines.Decode, b.faces, b.fingers, b.liveness, b.quality, b.register, b.submit
	bridge, err := kioskbridge.New(c)
	if err != nil {
		d.biometrics.close()
	}
	return bridge, err
}

// handler is everything that the door answers under mutual TLS. Each path is in
// the table of routes (docs/protocol.md); a test compares.
func (d *door) handler(bridge *kioskbridge.Bridge) http.Handler {
	api := http.NewServeMux()
	h := interview.NewAPI(api)
	interview.Register(h, d.hearings, d.tickets)
	agreements.Register(h, d.register)
	kioskbridge.Register(h, redeemer{d})
	desk := kioskbridge.NewDesk(bridge, d.db, ledger.Outbox{}, d)
	kioskbridge.RegisterDesk(h, desk, d.officer)
	d.registerReception(h, desk)
	d.registerReading(h, api, desk)
	d.registerWord(api, desk)
	d.registerCertificates(api)
	kioskbridge.RegisterFaces(h, kioskbridge.NewRoomFaces(bridge, d.tickets, d), func(ctx context.Context, c interview.Caller, id interview.HearingID) (interview.ParticipantID, error) {
		own, err := d.hearings.Own(ctx, c, id)
		if err != nil {
			return interview.ParticipantID{}, err
		}
		p, _ := c.As(own, time.Now())
		return p.ID, nil
	})
	d.bridge = bridge
	duplicate.Register(h, d.biometrics.duplicates, func(c interview.Caller) (string, error) {
		o, err := d.officer(c)
		return o.Person, err
	})
	transcript.Register(h, d.records)
	d.paths.register(h)
	d.registerQuality(h)
	d.viewings.register(api)
	d.keeping.register(api)
	api.HandleFunc("/", noRoute)

	mux := http.NewServeMux()
	mux.Handle("/api/", d.withCaller(api))
	mux.Handle("/agent/posture", d.posture)
	mux.HandleFunc("/agent/bundle", d.serveBundle)
	mux.HandleFunc("/agent/backups", d.serveBackupReports)
	mux.HandleFunc("/ws/room", d.serveRoom)
	mux.Handle("/ws/kiosk", bridge)
	mux.HandleFunc("/", noRoute)
	return mux
}

func noRoute(w http.ResponseWriter, _ *http.Request) {
	problem.Write(w, problem.New(problem.CodeNoRoute, "no such path"))
}

// serve listens for TLS and at the administrator's socket until ctx ends.
func (d *door) serve(ctx context.Context, mux http.Handler, ready func() error) error {
	pair, err := tls.LoadX509KeyPair(filepath.Join(d.in.layout.Door(), "tls.pem"), filepath.Join(d.in.layout.Door(), "tls.key"))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(d.in.Listen, strconv.Itoa(d.in.Ports.HTTPS)))
	if err != nil {
		return fmt.Errorf("door: %w", err)
	}
	names := split(context.WithoutCancel(ctx), l, d.in.turnName(), d.in.spliceAddress())
	defer names.Close() // again, where the server closed it
	server := d.server(pair, mux)
	admin, err := d.serveAdmin()
	if err != nil {
		_ = l.Close()
		return err
	}
	if err := ready(); err != nil {
		return errors.Join(err, l.Close(), admin.Close())
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ServeTLS(names, "", "") }()
	select {
	case err := <-failed:
		return errors.Join(err, admin.Close())
	case <-ctx.Done():
		d.hub.Close() // WebSockets are not among those that Shutdown waits for
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		err := errors.Join(server.Shutdown(stopping), admin.Close())
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		return err
	}
}

// server is the door's HTTPS side. The name enrol.HOST asks for no certificate and
// reaches authority's enrolment and, with a pass, measurements of the media port;
// everybody else needs one.
func (d *door) server(pair tls.Certificate, mux http.Handler) *http.Server {
	enrolName := "enrol." + d.in.Host
	open := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
	strict := open.Clone()
	strict.ClientAuth, strict.ClientCAs = tls.RequireAndVerifyClientCert, d.trust
	config := &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if strings.EqualFold(hello.ServerName, enrolName) {
			return open, nil
		}
		return strict, nil
	}}
	enrol := d.enrolment()
	// The name was decided in the handshake: a request cannot choose another by
	// its Host header.
	byName := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.EqualFold(r.TLS.ServerName, enrolName) {
			// Anybody may ask here, and a refusal too waits for the rest of the body.
			within(w, enrolTimeout)
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(enrolTimeout)) // always supported by net/http
			if r.URL.Path == measurePath {
				d.paths.serveMeasure(w, r)
			} else {
				enrol.ServeHTTP(w, r)
			}
			return
		}
		if len(r.TLS.PeerCertificates) == 0 {
			problem.Write(w, problem.New(problem.CodeCertificateInvalid, "no device certificate"))
			return
		}
		mux.ServeHTTP(w, r)
	})
	return &http.Server{Handler: byName, TLSConfig: config, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug)}
}

// enrolment hands requests on to authority. Anybody may send them, so each is
// bounded in size and time, and all of them together in number, before
// authority hears of it: the hearings' own requests take the same way.
func (d *door) enrolment() http.Handler {
	proxy := &httputil.ReverseProxy{
		Transport: d.conn.Transport(bus.Main(bus.Authority), "enrol"),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "authority"})
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			var large *http.MaxBytesError
			switch {
			case errors.As(err, &large):
				err = problem.New(problem.CodeTooLarge, "enrolment takes at most %d bytes", large.Limit)
			case errors.Is(err, os.ErrDeadlineExceeded):
				err = problem.New(problem.CodeStalled, "the request took longer than %s", enrolTimeout)
			default:
				err = problem.New(problem.CodeUnavailable, "enrolment: %w", err)
			}
			problem.Write(w, err)
		},
	}
	places := make(chan struct{}, maxEnrolling)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
		default:
			problem.Write(w, problem.New(problem.CodeTooFast, "%d requests for enrolment are under way", maxEnrolling))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, wire.MaxRequest)
		proxy.ServeHTTP(w, r)
	})
}

// within bounds how long an answer may take to be read.
func within(w http.ResponseWriter, limit time.Duration) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit)) // always supported by net/http
}

// device verifies a device certificate with authority: issued, not revoked,
// covered by an agreement in force.
func (d *door) device(ctx context.Context, cert *x509.Certificate) (wire.Device, error) {
	key := sha256.Sum256(cert.Raw)
	d.mu.Lock()
	c, known := d.devices[key]
	d.mu.Unlock()
	if known && time.Now().Before(c.until) {
		return c.device, nil
	}
	var out wire.Device
	if err := d.conn.Call(ctx, bus.Main(bus.Authority), "posture.device", certificateQuestion{Certificate: cert.Raw}, &out); err != nil {
		return wire.Device{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.devices) >= maxCached {
		clear(d.devices)
	}
	d.devices[key] = cachedDevice{out, time.Now().Add(deviceCached)}
	return out, nil
}

// person verifies the identity that the agent's gateway sent along, if any.
func (d *door) person(ctx context.Context, proof signin.Proof, device interview.DeviceID) (*signin.Identity, error) {
	if proof.IDToken == "" {
		return nil, nil
	}
	key := sha256.Sum256([]byte(proof.IDToken + "\x00" + proof.NonceRandom + "\x00" + device.String()))
	d.mu.Lock()
	c, known := d.persons[key]
	d.mu.Unlock()
	if known && time.Now().Before(c.until) && time.Now().Before(c.identity.Expires) {
		return &c.identity, nil
	}
	identity, err := d.people.Verify(ctx, proof, device.String())
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.persons) >= maxCached {
		clear(d.persons)
	}
	d.persons[key] = cachedPerson{identity, time.Now().Add(personCached)}
	return &identity, nil
}

// Headers by which an agent's gateway tells who is signed in. It sets them
// itself and strips them from what pages send.
const (
	headerIdentity = "Kuule-Identity"
	headerNonce    = "Kuule-Identity-Nonce"
)

// withCaller finds out who asks: the device by its certificate, the person by
// the identity token, and the tickets that this device has redeemed.
func (d *door) withCaller(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := d.caller(r)
		if err != nil {
			problem.Write(w, err)
			return
		}
		within(w, answerTimeout)
		next.ServeHTTP(w, r.WithContext(interview.WithCaller(r.Context(), c)))
	})
}

func (d *door) caller(r *http.Request) (interview.Caller, error) {
	device, err := d.device(r.Context(), r.TLS.PeerCertificates[0])
	if err != nil {
		return interview.Caller{}, err
	}
	c := interview.Caller{Device: device.DeviceID}
	who, err := d.person(r.Context(), proofOf(r), device.DeviceID)
	if err != nil {
		return interview.Caller{}, err
	}
	if who != nil {
		c.Subject, c.Name, c.Roles = who.Subject, who.Name, []interview.Role{interview.Role(who.Role)}
	}
	c.Tickets, err = d.tickets.Held(r.Context(), device.DeviceID)
	return c, err
}

func proofOf(r *http.Request) signin.Proof {
	return signin.Proof{IDToken: r.Header.Get(headerIdentity), NonceRandom: r.Header.Get(headerNonce)}
}

func (d *door) serveRoom(w http.ResponseWriter, r *http.Request) {
	leaf := r.TLS.PeerCertificates[0]
	device, err := d.device(r.Context(), leaf)
	if err != nil {
		problem.Write(w, err)
		return
	}
	d.hub.ServeWebSocket(w, r, signaling.Peer{Device: device.DeviceID, Certificate: leaf.Raw})
}

// Kiosk implements kioskbridge.Kiosks.
func (d *door) Kiosk(r *http.Request) (kioskbridge.Kiosk, error) {
	leaf := r.TLS.PeerCertificates[0]
	device, err := d.device(r.Context(), leaf)
	if err != nil {
		return kioskbridge.Kiosk{}, err
	}
	kiosk := kioskbridge.Kiosk{Device: device.DeviceID, Certificate: leaf}
	place, err := d.placeOf(r.Context(), device.DeviceID)
	if err != nil {
		return kioskbridge.Kiosk{}, err
	}
	kiosk.Site, kiosk.Place = place.Premises.String(), placeText(place)
	return kiosk, nil
}

// serveBundle hands out the signed web bundle; agents verify it.
func (d *door) serveBundle(w http.ResponseWriter, r *http.Request) {
	within(w, bundleTimeout)
	http.ServeFile(w, r, filepath.Join(d.in.layout.Bundle(), "kuule.bundle"))
}

// takeVerdict notes what a device's quote was found to be. One that failed
// takes the device out of its rooms.
func (d *door) takeVerdict(v attestation.Verdict) {
	d.mu.Lock()
	d.verdicts[v.Device.DeviceID] = v
	d.mu.Unlock()
	if v.Outcome != interview.Verified {
		d.hub.Revoke(v.Device.DeviceID, problem.Refused(v.Code, "posture", "%s", v.Detail))
	}
}

// busVerifier is the posture verifier on the other side of the bus.
type busVerifier struct{ conn *bus.Conn }

func (b busVerifier) Challenge(ctx context.Context, certificate []byte) (out wire.Challenge, err error) {
	err = b.conn.Call(ctx, bus.Main(bus.Authority), "posture.challenge", certificateQuestion{Certificate: certificate}, &out)
	return out, err
}

func (b busVerifier) Verify(ctx context.Context, certificate []byte, q wire.NoncedQuote) (out attestation.Verdict, err error) {
	err = b.conn.Call(ctx, bus.Main(bus.Authority), "posture.verify", certificateQuestion{Certificate: certificate, Quote: &q}, &out)
	return out, err
}

// handOverAgreements gives authority every agreement in use, now and whenever
// the register's generation grows: it reads no SQL and believes only the
// office's signature.
func (d *door) handOverAgreements(ctx context.Context) {
	told := int64(-1)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if generation, err := d.register.Generation(ctx); err == nil && generation != told {
			if err := d.handOver(ctx); err != nil {
				slog.Warn("agreements were not handed to authority", "err", err)
			} else {
				told = generation
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// unnamed lists the devices of an agreement that no agreement in force names.
func (d *door) unnamed(ctx context.Context, signed string) (out []interview.DeviceID, err error) {
	doc, err := agreement.Verify(signed, d.register.Office())
	if err != nil {
		return nil, err
	}
	for _, device := range doc.Devices {
		_, err := d.register.Device(ctx, device.ID)
		switch {
		case errors.Is(err, problem.New(problem.CodeDeviceNotNamed, "")):
			out = append(out, device.ID)
		case err != nil && !errors.Is(err, problem.New(problem.CodeDeviceRevoked, "")):
			return nil, err
		}
	}
	return out, nil
}

func (d *door) handOver(ctx context.Context) error {
	signed, err := d.register.InUse(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range signed {
		if s.Off { // suspended or ended: out of the rooms at once
			devices, err := d.unnamed(ctx, s.Signed)
			errs = append(errs, err)
			for _, device := range devices {
				d.hub.Revoke(device, problem.Refused(problem.CodeDeviceNotNamed, "agreement-names-device", "the agreement of device %s is not in force", device))
			}
		}
		errs = append(errs, d.conn.Call(ctx, bus.Main(bus.Authority), "agreement.put", agreementPut{Signed: s.Signed, Off: s.Off}, nil))
	}
	revoked, err := d.register.Revoked(ctx)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for device, reason := range revoked {
		errs = append(errs, d.conn.Call(ctx, bus.Main(bus.Authority), "revoke", revokeQuestion{Device: device, Reason: reason}, nil))
		d.hub.Revoke(device, problem.Refused(problem.CodeDeviceRevoked, "agreement-device-not-revoked", "%s", reason))
	}
	return errors.Join(errs...)
}

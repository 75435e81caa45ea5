package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"kuule/internal/blob"
)

// Times and bounds of one request.
const (
	attempts       = 2 // after the first
	answerTimeout  = 10 * time.Second
	lookTimeout    = 30 * time.Second // of requests without content
	maxObject      = 5 << 30          // bytes of one PUT (the service's own bound)
	defaultRegion  = "us-east-1"
	contentType    = "application/octet-stream"
	idleConnection = 90 * time.Second
)

// Config says where the bucket is.
type Config struct {
	Endpoint string                                    // https://host:port
	Bucket   string                                    // made with Object Lock
	Region   string                                    // empty: us-east-1
	Access   string                                    // access key id
	Secret   string                                    // secret access key
	Roots    *x509.CertPool                            // nil: the system's
	Spool    string                                    // folder for what is on its way, sealed; empty: the system's
	Wrap     func(http.RoundTripper) http.RoundTripper // for tests; nil: none
}

// String hides the secret.
func (c Config) String() string { return c.Endpoint + "/" + c.Bucket }

// GoString hides the secret.
func (c Config) GoString() string { return c.String() }

// Store is a bucket. It is safe for concurrent use.
type Store struct {
	client *minio.Client
	bucket string
	spool  string
}

// Open connects to the bucket and proves that it has Object Lock.
func Open(ctx context.Context, c Config) (*Store, error) {
	at, err := url.Parse(c.Endpoint)
	if err != nil || at.Host == "" || (at.Scheme != "https" && at.Scheme != "http") {
		return nil, fmt.Errorf("open blob store: endpoint %q: give https://host", c.Endpoint)
	}
	if at.Scheme == "http" && at.Hostname() != "127.0.0.1" {
		return nil, errors.New("open blob store: plain HTTP is for 127.0.0.1 alone: give https://")
	}
	if c.Region == "" {
		c.Region = defaultRegion
	}
	var transport http.RoundTripper = &http.Transport{
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots},
		ResponseHeaderTimeout: answerTimeout, TLSHandshakeTimeout: answerTimeout, IdleConnTimeout: idleConnection, DisableCompression: true,
	}
	if c.Wrap != nil {
		transport = c.Wrap(transport)
	}
	client, err := minio.New(at.Host, &minio.Options{
		Creds: credentials.NewStaticV4(c.Access, c.Secret, ""), Secure: at.Scheme == "https", Region: c.Region,
		MaxRetries: attempts, Transport: transport, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	s := &Store{client: client, bucket: c.Bucket, spool: c.Spool}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	lock, _, _, _, err := client.GetObjectLockConfig(ctx, c.Bucket)
	if err != nil {
		return nil, fmt.Errorf("open blob store: object lock of bucket %s: %w", c.Bucket, s.failure(err))
	}
	if lock != "Enabled" {
		return nil, fmt.Errorf("open blob store: bucket %s has no Object Lock: make it with one", c.Bucket)
	}
	return s, nil
}

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, name string, content io.Reader) error {
	return s.put(ctx, name, content, minio.PutObjectOptions{})
}

// PutRetained implements blob.Store.
func (s *Store) PutRetained(ctx context.Context, name string, content io.Reader, until time.Time) error {
	options := minio.PutObjectOptions{}
	if !until.IsZero() {
		options.Mode, options.RetainUntilDate = minio.Compliance, until.UTC().Truncate(time.Second)
	}
	return s.put(ctx, name, content, options)
}

// put reads the content into a file first: what is sent has a known size, and a
// source that breaks never begins an object.
func (s *Store) put(ctx context.Context, name string, content io.Reader, options minio.PutObjectOptions) error {
	if err := blob.CheckName(name); err != nil {
		return err
	}
	spool, err := os.CreateTemp(s.spool, "kuule-putting-*")
	if err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	defer func() { _ = errors.Join(spool.Close(), os.Remove(spool.Name())) }()
	size, err := io.Copy(spool, io.LimitReader(content, maxObject+1))
	if err == nil && size > maxObject {
		err = fmt.Errorf("more than %d bytes", int64(maxObject))
	}
	if err == nil {
		_, err = spool.Seek(0, io.SeekStart)
	}
	if err = errors.Join(err, ctx.Err()); err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	options.ContentType, options.DisableMultipart, options.SendContentMd5 = contentType, true, true
	options.SetMatchETagExcept("*")
	if _, err = s.client.PutObject(ctx, s.bucket, name, spool, size, options); err != nil {
		return fmt.Errorf("put %s: %w", name, s.failure(err))
	}
	return nil
}

// Get implements blob.Store. The reader answers io.ErrUnexpectedEOF where the
// service sends less than it promised.
func (s *Store) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	info, err := s.stat(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", name, err)
	}
	if length == -1 {
		length = info.Size - offset
	}
	if offset < 0 || length < 0 || offset > info.Size-length {
		return nil, fmt.Errorf("get %s: %w", name, blob.ErrRange)
	}
	if length == 0 {
		return http.NoBody, nil
	}
	options := minio.GetObjectOptions{VersionID: info.VersionID}
	if err := options.SetRange(offset, offset+length-1); err != nil {
		return nil, fmt.Errorf("get %s: %w", name, err)
	}
	body, err := s.client.GetObject(ctx, s.bucket, name, options)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", name, s.failure(err))
	}
	return &exactly{source: body, left: length, name: name}, nil
}

// exactly reads as many bytes as were asked for, or says so.
type exactly struct {
	source io.ReadCloser
	left   int64
	name   string
}

func (r *exactly) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.source.Read(p)
	r.left -= int64(n)
	switch {
	case r.left == 0:
		return n, nil
	case errors.Is(err, io.EOF):
		return n, fmt.Errorf("get %s: %d bytes are missing: %w", r.name, r.left, io.ErrUnexpectedEOF)
	case err != nil:
		return n, fmt.Errorf("get %s: %w", r.name, err)
	}
	return n, nil
}

func (r *exactly) Close() error { return r.source.Close() }

func (s *Store) stat(ctx context.Context, name string) (minio.ObjectInfo, error) {
	if err := blob.CheckName(name); err != nil {
		return minio.ObjectInfo{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	info, err := s.client.StatObject(ctx, s.bucket, name, minio.StatObjectOptions{})
	return info, s.failure(err)
}

// Stat implements blob.Store.
func (s *Store) Stat(ctx context.Context, name string) (blob.Info, error) {
	info, err := s.stat(ctx, name)
	if err != nil {
		return blob.Info{}, fmt.Errorf("stat %s: %w", name, err)
	}
	out := blob.Info{Size: info.Size, Written: info.LastModified.UTC()}
	_, until, err := s.client.GetObjectRetention(ctx, s.bucket, name, info.VersionID)
	if err != nil && minio.ToErrorResponse(err).Code != "NoSuchObjectLockConfiguration" {
		return blob.Info{}, fmt.Errorf("stat %s: %w", name, s.failure(err))
	}
	if err == nil && until != nil {
		out.Until = until.UTC()
	}
	hold, err := s.client.GetObjectLegalHold(ctx, s.bucket, name, minio.GetObjectLegalHoldOptions{VersionID: info.VersionID})
	if err != nil && minio.ToErrorResponse(err).Code != "NoSuchObjectLockConfiguration" {
		return blob.Info{}, fmt.Errorf("stat %s: %w", name, s.failure(err))
	}
	out.Held = err == nil && hold != nil && *hold == minio.LegalHoldEnabled
	return out, nil
}

// Extend implements blob.Store.
func (s *Store) Extend(ctx context.Context, name string, until time.Time) error {
	until = until.UTC().Truncate(time.Second)
	info, err := s.Stat(ctx, name)
	if err != nil {
		return err
	}
	if until.Before(info.Until) { // the service refuses it as well
		return fmt.Errorf("lock of %s until %s: %w", name, until.Format(time.RFC3339), blob.ErrShorten)
	}
	mode := minio.Compliance
	err = s.client.PutObjectRetention(ctx, s.bucket, name, minio.PutObjectRetentionOptions{Mode: &mode, RetainUntilDate: &until})
	if err != nil {
		return fmt.Errorf("lock of %s: %w", name, s.failure(err))
	}
	return nil
}

// Hold implements blob.Store.
func (s *Store) Hold(ctx context.Context, name string, on bool) error {
	if _, err := s.stat(ctx, name); err != nil {
		return fmt.Errorf("hold of %s: %w", name, err)
	}
	status := minio.LegalHoldDisabled
	if on {
		status = minio.LegalHoldEnabled
	}
	if err := s.client.PutObjectLegalHold(ctx, s.bucket, name, minio.PutObjectLegalHoldOptions{Status: &status}); err != nil {
		return fmt.Errorf("hold of %s: %w", name, s.failure(err))
	}
	return nil
}

// Delete implements blob.Store. It removes the version itself: without one the
// service would only hide it.
func (s *Store) Delete(ctx context.Context, name string) error {
	info, err := s.Stat(ctx, name)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return nil
	case err != nil:
		return err
	case info.Locked(time.Now()): // not every service asks for both before it deletes
		return fmt.Errorf("delete %s: %w", name, blob.ErrLocked)
	}
	object, err := s.stat(ctx, name)
	if err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	err = s.client.RemoveObject(ctx, s.bucket, name, minio.RemoveObjectOptions{VersionID: object.VersionID})
	if err != nil {
		if minio.ToErrorResponse(err).StatusCode == http.StatusForbidden || minio.ToErrorResponse(err).Code == "ObjectLocked" {
			return fmt.Errorf("delete %s: %w", name, blob.ErrLocked)
		}
		return fmt.Errorf("delete %s: %w", name, s.failure(err))
	}
	return nil
}

// WriteOnce implements blob.Store: Open has seen that the bucket locks.
func (s *Store) WriteOnce() bool { return true }

// failure gives the service's errors this program's names, by status: texts
// differ between services.
func (s *Store) failure(err error) error {
	if err == nil {
		return nil
	}
	answer := minio.ToErrorResponse(err)
	switch {
	case answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w (%s)", blob.ErrNotFound, answer.Code)
	case answer.StatusCode == http.StatusPreconditionFailed, answer.StatusCode == http.StatusConflict && answer.Code == "ConditionalRequestConflict":
		return blob.ErrExists
	case errors.Is(err, context.Canceled):
		return err
	case answer.StatusCode == 0, answer.StatusCode >= http.StatusInternalServerError:
		return fmt.Errorf("%w: %w", blob.ErrAway, err)
	default:
		return fmt.Errorf("%s (%d): %w", answer.Code, answer.StatusCode, err)
	}
}

var _ blob.Store = (*Store)(nil)

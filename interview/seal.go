package interview

import (
	"context"
	"encoding/json"
	"fmt"
)

// Sealer seals personal content under a case's records key, so that deleting
// that key erases it everywhere, in back-ups too. The first Seal of a case
// makes its key; a case whose key was deleted seals and opens nothing again.
// The aad names the row and column, and must be the same at Open. Safe for
// concurrent use.
type Sealer interface {
	Seal(ctx context.Context, c CaseID, aad string, plain []byte) ([]byte, error)
	Open(ctx context.Context, c CaseID, aad string, sealed []byte) ([]byte, error)
}

// SealJSON seals v as JSON.
func SealJSON(ctx context.Context, s Sealer, c CaseID, aad string, v any) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", aad, err)
	}
	sealed, err := s.Seal(ctx, c, aad, plain)
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", aad, err)
	}
	return sealed, nil
}

// OpenJSON opens what SealJSON sealed into v.
func OpenJSON(ctx context.Context, s Sealer, c CaseID, aad string, sealed []byte, v any) error {
	plain, err := s.Open(ctx, c, aad, sealed)
	if err != nil {
		return fmt.Errorf("open %s: %w", aad, err)
	}
	if err := json.Unmarshal(plain, v); err != nil {
		return fmt.Errorf("open %s: %w", aad, err)
	}
	return nil
}

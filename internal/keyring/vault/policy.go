package vault

import "fmt"

// Policy gives the policy that Vault itself has to enforce for a process, as an
// HCL file (https://developer.hashicorp.com/vault/docs/concepts/policies).
// "update" without "create" on encrypt matters: with it, a wrap under a name
// that does not exist would make a key.
//
//   - authority: everything about the keys of cases, and signing. It is the one
//     process that logs in in an ordinary installation.
//   - recorder: wraps under recording keys. It cannot open anything.
func Policy(role, mount string) (string, error) {
	if mount == "" {
		mount = defaultMount
	}
	switch role {
	case "authority":
		return fmt.Sprintf(`# Kuule: authority keeps the keys of cases and signs.
path "%[1]s/keys/records-*"      { capabilities = ["create", "read", "update", "delete"] }
path "%[1]s/keys/recording-*"    { capabilities = ["create", "read", "update", "delete"] }
path "%[1]s/keys/special-*"      { capabilities = ["create", "read", "update", "delete"] }
path "%[1]s/encrypt/records-*"   { capabilities = ["update"] }
path "%[1]s/encrypt/recording-*" { capabilities = ["update"] }
path "%[1]s/encrypt/special-*"   { capabilities = ["update"] }
path "%[1]s/decrypt/records-*"   { capabilities = ["update"] }
path "%[1]s/decrypt/recording-*" { capabilities = ["update"] }
path "%[1]s/decrypt/special-*"   { capabilities = ["update"] }
path "%[1]s/rewrap/records-*"    { capabilities = ["update"] }
path "%[1]s/rewrap/recording-*"  { capabilities = ["update"] }
path "%[1]s/rewrap/special-*"    { capabilities = ["update"] }
path "%[1]s/keys/sign-*"         { capabilities = ["create", "read", "update"] }
path "%[1]s/sign/sign-*"         { capabilities = ["update"] }
path "%[1]s/keys/+/import"       { capabilities = ["deny"] }
path "%[1]s/export/*"            { capabilities = ["deny"] }
path "%[1]s/backup/*"            { capabilities = ["deny"] }
`, mount), nil
	case "recorder":
		return fmt.Sprintf(`# Kuule: a recorder wraps what it records and never opens it again.
path "%[1]s/encrypt/recording-*" { capabilities = ["update"] }
`, mount), nil
	default:
		return "", fmt.Errorf("there is no policy for %q: authority or recorder", role)
	}
}

// Package policy decides by Cedar policies (https://docs.cedarpolicy.com) and
// says which of them decided.
//
// Every policy carries an @id, which is its name in every answer, log and
// refusal; other annotations are handed through to the caller. What no policy
// permits is denied, a forbid always wins, and a policy that cannot be
// evaluated denies too: Cedar itself would skip it, and a skipped forbid would
// open a door. The engine knows no hearing; facts come in as a context record.
package policy

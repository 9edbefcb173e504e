package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/guard"
)

// Principal reads a principal in the words of the policy input, for trying out
// decisions. Unknown members are errors: a misspelt role must not read as none.
func Principal(data []byte) (*guard.Principal, error) {
	var p struct {
		Subject  string    `json:"subject"`
		Issuer   string    `json:"issuer"`
		Agent    string    `json:"agent"`
		Actors   []string  `json:"actors"`
		Client   string    `json:"client"`
		Tenant   string    `json:"tenant"`
		Project  string    `json:"project"`
		Roles    []string  `json:"roles"`
		Scopes   []string  `json:"scopes"`
		Task     string    `json:"task"`
		TaskType string    `json:"task_type"`
		Peer     string    `json:"peer"`
		Strength string    `json:"strength"`
		AuthTime time.Time `json:"auth_time"`
		Issued   time.Time `json:"issued"`
		Expires  time.Time `json:"expires"`
		TokenID  string    `json:"token_id"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return nil, fmt.Errorf("principal: %w", err)
	}
	slices.Sort(p.Roles)
	slices.Sort(p.Scopes)
	out := guard.Principal(p)
	if out.IsAnonymous() && len(p.Roles)+len(p.Scopes)+len(p.Tenant)+len(p.Project) > 0 {
		return nil, errors.New("principal: without subject, client and peer it is nobody, and has no roles, scopes, tenant or project")
	}
	return &out, nil
}

package injection

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/config/notation"
	"github.com/sallyport/sallyport/internal/recent"
	"github.com/sallyport/sallyport/mcp"
)

// Critic is the user's "guards.injection.critic" section: a service that is asked
// for a second opinion.
type Critic struct {
	URL         string        `yaml:"url" doc:"Where texts are POSTed; https, or http to a loopback host. Nobody is asked when absent"`
	Token       string        `yaml:"token" doc:"Reference to a bearer token: env:NAME or file:/path"`
	Certificate string        `yaml:"certificate" doc:"Reference to the PEM certificate to show"`
	Key         string        `yaml:"key" doc:"Reference to its PEM key"`
	CA          string        `yaml:"ca" doc:"Reference to the PEM certificates of the authorities to trust; the system's when absent"`
	From        float64       `yaml:"from" min:"0" max:"1" doc:"Score of the gateway's own from which the critic is asked"`
	To          float64       `yaml:"to" min:"0" max:"1" doc:"Score from which there is nothing to ask; 1 asks about all above from"`
	May         string        `yaml:"may" oneof:"both|raise|lower" doc:"What the critic's score does: it replaces the gateway's own, or only if it is higher, or lower"`
	Confidence  float64       `yaml:"confidence" min:"0" max:"1" doc:"Least confidence with which an opinion counts; one that states none is taken for certain"`
	Timeout     time.Duration `yaml:"timeout" min:"5ms" max:"1m" doc:"How long one message waits for it; less than guards.injection.timeout"`
	OnError     string        `yaml:"on_error" oneof:"own|worst" doc:"What counts when it does not answer in time, or not properly: the gateway's own score, or the highest there is"`
	Texts       int           `yaml:"texts" min:"1" max:"64" doc:"Texts of one message that it is asked about, the most suspicious first; each window of a long text is one"`
	MaxBytes    int           `yaml:"max_bytes" min:"64" max:"1048576" doc:"Longest text to send; of a longer one, windows of this size round what is most suspicious"`
	Windows     int           `yaml:"windows" min:"0" max:"16" doc:"Windows of one long text at most; for what stands in none, and with 0, the gateway's own score counts"`
	Concurrency int           `yaml:"concurrency" min:"1" max:"1024" doc:"Questions under way at once; more wait, within their timeout"`
	Cache       int           `yaml:"cache" min:"0" max:"1000000" doc:"Opinions that are kept"`
	CacheTime   time.Duration `yaml:"cache_time" min:"0s" max:"1d" doc:"How long an opinion is used again, for the same text and tenant"`
}

func defaultCritic() Critic {
	return Critic{
		From: 0.5, To: 1, May: "both", Timeout: 300 * time.Millisecond, OnError: "own",
		Texts: 8, MaxBytes: 16 << 10, Windows: 3, Concurrency: 16, Cache: 10_000, CacheTime: time.Hour,
	}
}

// Question is a text that the critic is asked about.
type Question struct {
	Kind  string  // result or description
	Text  string  // as the client would get it
	Score float64 // of the gateway's own
}

// Opinion is what the critic thinks of a text.
type Opinion struct {
	Score      float64
	Confidence float64
}

// Asker asks the critic. It gives up at the configured timeout and when ctx ends,
// and is called from many goroutines. It returns as many opinions as it was asked
// questions, or an error.
type Asker interface {
	Ask(ctx context.Context, q []Question) ([]Opinion, error)
}

func (c *Critic) validate() error {
	if c.URL == "" {
		return nil
	}
	errs := []error{notation.OneOf("critic.may", c.May, "both", "raise", "lower"), notation.OneOf("critic.on_error", c.OnError, "own", "worst")}
	u, err := url.Parse(c.URL)
	local := err == nil && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && local) {
		errs = append(errs, errors.New("critic.url: write https, or http to a loopback host, without a password"))
	}
	if (c.Certificate == "") != (c.Key == "") {
		errs = append(errs, errors.New("critic.certificate: comes with a key, and a key with a certificate"))
	}
	if !(c.From >= 0 && c.From < c.To && c.To <= 1) {
		errs = append(errs, fmt.Errorf("critic.from: must be less than to, and both between 0 and 1; they are %v and %v", c.From, c.To))
	}
	if c.Texts < 1 || c.MaxBytes < 1 || c.Concurrency < 1 || c.Timeout <= 0 || c.Windows < 0 || c.Cache < 0 || c.Confidence < 0 || c.Confidence > 1 {
		errs = append(errs, errors.New("critic: a limit is not positive"))
	}
	return errors.Join(errs...)
}

// second is who is asked for a second opinion.
type second struct {
	Critic
	asker  Asker
	now    func() time.Time
	secret [32]byte // so that nobody outside can tell what key a text has
	kept   *recent.Table[kept]
}

type kept struct {
	opinion Opinion
	until   int64
}

func newSecond(c Critic, p Ports) (*second, error) {
	if c.URL == "" || p.Critic == nil {
		return nil, nil
	}
	asker, err := p.Critic(c)
	if err != nil {
		return nil, fmt.Errorf("critic.%w", err)
	}
	s := &second{Critic: c, asker: asker, now: p.Now, kept: recent.New[kept](c.Cache)}
	_, err = rand.Read(s.secret[:])
	return s, err
}

// wants reports whether the critic is to be asked about a text.
func (s *second) wants(score float64, text []byte) bool {
	return s != nil && score >= s.From && (score < s.To || s.To == 1) && (len(text) <= s.MaxBytes || s.Windows > 0)
}

// parts returns what to ask about a text, and the score of what is not asked about.
func (s *second) parts(score func([]byte) float64, kind string, text []byte, whole float64) (parts []part, rest float64) {
	if len(text) > s.MaxBytes {
		return s.windows(score, kind, text, whole)
	}
	return []part{{score: whole, question: &Question{Kind: kind, Text: string(text), Score: whole}}}, 0
}

// key names a text of a tenant. Tenants share nothing: how fast an answer comes
// would tell one what another has read.
func (s *second) key(x *guard.Exchange, q *Question) recent.Key {
	b := append(make([]byte, 0, len(q.Text)+128), s.secret[:]...)
	b = guard.AppendText(guard.AppendText(guard.AppendText(b, x.Principal.Tenant), q.Kind), q.Text)
	sum := sha256.Sum256(b)
	return recent.Key(sum[:16])
}

// review has the places judged for which there is a question. The verdict is
// pending if somebody has to be asked.
func (s *second) review(x *guard.Exchange, m *mcp.Message, limits Thresholds, places []place) guard.Verdict {
	var asked []*part
	for i := range places {
		for k := range places[i].parts {
			asked = append(asked, &places[i].parts[k])
		}
	}
	slices.SortStableFunc(asked, func(a, b *part) int { return cmp.Compare(b.score, a.score) })
	var open []*part
	var keys []recent.Key
	for _, p := range asked[:min(len(asked), s.Texts)] {
		k, known := s.key(x, p.question), false
		s.kept.Look(k, func(v *kept) {
			if known = s.now().UnixNano() < v.until; known {
				s.weigh(p, v.opinion)
			}
		})
		if !known {
			open, keys = append(open, p), append(keys, k)
		}
	}
	if len(open) == 0 {
		return decide(m, limits, places)
	}
	return guard.Verdict{Pending: func(ctx context.Context) (guard.Verdict, error) {
		questions := make([]Question, len(open))
		for i, p := range open {
			questions[i] = *p.question
		}
		opinions, err := s.asker.Ask(ctx, questions)
		if err == nil && len(opinions) != len(questions) {
			err = errors.New("injection: critic: as many opinions as questions are due")
		}
		for i, p := range open {
			switch {
			case err == nil:
				s.weigh(p, opinions[i])
				if s.Cache > 0 && s.CacheTime > 0 {
					s.kept.Do(keys[i], func(v *kept) { *v = kept{opinions[i], s.now().Add(s.CacheTime).UnixNano()} })
				}
			case s.OnError == "worst":
				p.score, p.said = 1, "no opinion"
			default:
				p.said = "no opinion"
			}
		}
		v := decide(m, limits, places)
		if err != nil {
			// Whatever became of the message, people have to learn that nobody
			// gives second opinions.
			v.Detail = joined(v.Detail, err.Error())
			v.Obligations = append(v.Obligations, guard.Obligation{Kind: guard.Raise, Name: "critic_silent", Value: err.Error()})
		}
		return v, nil
	}}
}

func joined(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// weigh lets an opinion count as far as the configuration says.
func (s *second) weigh(p *part, o Opinion) {
	switch {
	case o.Confidence < s.Confidence:
		p.said = "unsure"
	case s.May == "raise" && o.Score <= p.score, s.May == "lower" && o.Score >= p.score:
		p.said = "outweighed"
	default:
		p.said = fmt.Sprintf("own %.2f", p.score)
		p.score = o.Score
	}
}

// settle gives a place the worst of its parts' scores, and of what nobody was
// asked about.
func (p *place) settle() {
	if len(p.parts) == 0 {
		return
	}
	p.score = p.rest
	for i, part := range p.parts {
		if part.score > p.score || i == 0 && part.score == p.score {
			p.score, p.said = part.score, part.said
		}
	}
}

// decide gives each place the action of its final score.
func decide(m *mcp.Message, limits Thresholds, places []place) guard.Verdict {
	var left []place
	for i := range places {
		p := places[i]
		p.settle()
		if p.action = limits.action(p.score); p.action != nothing {
			left = append(left, p)
		}
	}
	if len(left) == 0 {
		return guard.Pass()
	}
	return verdict(m, left)
}

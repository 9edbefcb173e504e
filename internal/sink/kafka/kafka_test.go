package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sallyport/sallyport/internal/audit/deliver"
)

func cluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(3, "receipts")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func items(tenants ...string) (out []*deliver.Item) {
	for i, tenant := range tenants {
		out = append(out, &deliver.Item{Kind: deliver.Receipt, ID: fmt.Sprintf("r-%d", i), Seq: uint64(i), Time: time.Now(), Body: fmt.Appendf(nil, `{"seq":%d}`, i), Facts: deliver.Facts{Tenant: tenant}})
	}
	return out
}

func read(t *testing.T, brokers []string, n int) (out []*kgo.Record) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics("receipts"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for len(out) < n {
		f := c.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d records", len(out), n)
		}
		out = append(out, f.Records()...)
	}
	return out
}

func deadline(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestReceiptsOfATenantStayInOrder(t *testing.T) {
	c := cluster(t)
	s, err := Open(Options{Brokers: c.ListenAddrs(), Topic: "receipts", Batch: 500})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var tenants []string
	for i := range 200 {
		tenants = append(tenants, []string{"acme", "umbrella", "initech", ""}[i%4])
	}
	out, err := s.Deliver(deadline(t, time.Minute), items(tenants...))
	if err != nil || len(out.Again)+len(out.Refused) > 0 {
		t.Fatal(out, err)
	}
	last, partition := make(map[string]int), make(map[string]int32)
	for _, r := range read(t, c.ListenAddrs(), 200) {
		var seq int
		if _, err := fmt.Sscanf(string(r.Value), `{"seq":%d}`, &seq); err != nil || string(r.Headers[0].Value) != fmt.Sprintf("r-%d", seq) || r.Headers[0].Key != "id" {
			t.Fatalf("%v: %s %v", err, r.Value, r.Headers)
		}
		key := string(r.Key)
		if p, seen := partition[key]; key != "" && seen && (p != r.Partition || last[key] > seq) {
			t.Errorf("tenant %s: receipt %d in partition %d after %d in %d", key, seq, r.Partition, last[key], p)
		}
		last[key], partition[key] = seq, r.Partition
	}
}

func TestARecordThatIsTooLargeIsADeadLetterAndABrokerThatIsDownIsNot(t *testing.T) {
	c := cluster(t)
	s, err := Open(Options{Brokers: c.ListenAddrs(), Topic: "receipts", Batch: 500})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all := items("a", "a")
	all[0].Body = []byte(strings.Repeat("x", 2<<20))
	out, err := s.Deliver(deadline(t, time.Minute), all)
	if err != nil || len(out.Refused) != 1 || out.Refused[0].Index != 0 || len(out.Again) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return nil, errors.New("down"), true
	})
	out, err = s.Deliver(deadline(t, 500*time.Millisecond), items("a", "b"))
	if err != nil || len(out.Again) != 2 || out.Why == nil {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestCredentials(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		c := cluster(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "gateway", "right"))
		for password, good := range map[string]bool{"right": true, "wrong": false} {
			s, err := Open(Options{Brokers: c.ListenAddrs(), Topic: "receipts", Mechanism: mechanism, User: "gateway", Password: func() (string, error) { return password, nil }, Batch: 10})
			if err != nil {
				t.Fatal(err)
			}
			limit := time.Minute
			if !good { // it is tried until the time is over
				limit = 700 * time.Millisecond
			}
			out, err := s.Deliver(deadline(t, limit), items("a"))
			if err != nil || (len(out.Again) == 0) != good || len(out.Refused) > 0 {
				t.Errorf("%s, %s: %+v, %v", mechanism, password, out, err)
			}
			if out.Why != nil && strings.Contains(out.Why.Error(), password) {
				t.Error(out.Why)
			}
			_ = s.Close()
		}
	}
}

// A broker on this machine, spoken to without TLS, says that the topic is led by
// another machine: neither the password nor receipts go there in clear text.
func TestABrokerLeadsNobodyToAnotherMachineInClearText(t *testing.T) {
	c := cluster(t)
	c.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		r := req.ResponseKind().(*kmsg.MetadataResponse)
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID, b.Host, b.Port = 7, "192.0.2.7", 9092
		r.Brokers, r.ControllerID = append(r.Brokers, b), 7
		for _, topic := range req.(*kmsg.MetadataRequest).Topics {
			at := kmsg.NewMetadataResponseTopic()
			at.Topic = topic.Topic
			p := kmsg.NewMetadataResponseTopicPartition()
			p.Leader, p.Replicas, p.ISR = 7, []int32{7}, []int32{7}
			at.Partitions = append(at.Partitions, p)
			r.Topics = append(r.Topics, at)
		}
		return r, nil, true
	})
	s, err := Open(Options{Brokers: c.ListenAddrs(), Topic: "receipts", Batch: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Deliver(deadline(t, time.Second), items("a"))
	if err != nil || len(out.Again) != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	for _, address := range []string{"192.0.2.7:9092", "[2001:db8::1]:9092", "0.0.0.0:9092"} {
		conn, err := here(deadline(t, time.Second), "tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "needs tls") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

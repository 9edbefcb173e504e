package sinks

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sallyport/sallyport/integration/testenv"
)

// broker is a Kafka of one node.
type broker struct {
	port    int
	config  string
	jars    string
	process *testenv.Process
}

func startKafka(t testing.TB) *broker {
	t.Helper()
	b := &broker{port: testenv.FreePort(t), jars: jars(t, "kafka")}
	dir, controller := t.TempDir(), testenv.FreePort(t)
	b.config = filepath.Join(dir, "server.properties")
	testenv.Write(t, b.config, fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[1]d
listeners=PLAINTEXT://127.0.0.1:%[2]d,CONTROLLER://127.0.0.1:%[1]d
controller.listener.names=CONTROLLER
log.dirs=%[3]s/log
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
`, controller, b.port, dir))
	id, err := exec.Command("java", "-cp", b.jars+"/*", "kafka.tools.StorageTool", "random-uuid").Output()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("java", "-cp", b.jars+"/*", "kafka.tools.StorageTool", "format", "-t", lastLine(id), "-c", b.config).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	b.start(t)
	return b
}

func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

func (b *broker) start(t testing.TB) {
	t.Helper()
	b.process = testenv.Launch(t, "java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", b.jars+"/*", "kafka.Kafka", b.config)
	testenv.Eventually(t, 2*time.Minute, "Kafka", func() bool {
		c := b.client(t)
		defer c.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		return c.Ping(ctx) == nil
	})
}

func (b *broker) client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(fmt.Sprintf("127.0.0.1:%d", b.port)))...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestKafkaHasEveryReceiptThoughItWasKilled(t *testing.T) {
	testenv.Heavy(t)
	b := startKafka(t)
	admin := b.client(t)
	defer admin.Close()
	req := kmsg.NewCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "receipts", 3, 1
	req.Topics = append(req.Topics, topic)
	if _, err := req.RequestWith(context.Background(), admin); err != nil {
		t.Fatal(err)
	}
	g := start(t, fmt.Sprintf(`timeout: 3s, kafka: {brokers: ["127.0.0.1:%d"], topic: receipts}`, b.port))
	g.receipts(t, 50)
	g.delivered(t)
	if err := b.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-b.process.Ended
	g.receipts(t, 50)
	testenv.Eventually(t, time.Minute, "the sink fails", func() bool { s, _ := g.state(); return s.State == "failing" })
	b.start(t)
	g.receipts(t, 50)
	g.delivered(t)

	reader := b.client(t, kgo.ConsumeTopics("receipts"))
	defer reader.Close()
	seen := make(map[string]bool)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for len(seen) < 150 && ctx.Err() == nil {
		reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			if strings.Contains(string(r.Value), `"action"`) {
				seen[string(r.Headers[0].Value)] = true
			}
		})
	}
	if len(seen) != 150 {
		t.Errorf("%d receipts of 150", len(seen))
	}
}

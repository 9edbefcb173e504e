package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/integration/testenv"
)

// pages returns the pages on which commands are shown, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	return testenv.Texts(t, "../../*.md", "../../docs/*.md", "../../docs/example/*/*.md", "../../examples/*.md", "../../envoy/*.md", "../../changes/*.md", "../../guard/*/*.md", "../../deploy/*/*.md", "../../eval/*.md", "../../docker-compose.yml", "../../examples/*/*.yaml")
}

// words splits a command line as a shell does, up to what ends the command:
// a pipe, a redirection, another command or a comment.
func words(line string) []string {
	var out []string
	for line = strings.TrimLeft(line, " "); line != "" && !strings.ContainsRune("|<>;&#)", rune(line[0])); line = strings.TrimLeft(line, " ") {
		var word strings.Builder
		for line != "" && line[0] != ' ' {
			switch q := line[0]; {
			case q == '\'' || q == '"':
				text, rest, _ := strings.Cut(line[1:], line[:1])
				word.WriteString(text)
				line = rest
			case strings.HasPrefix(line, "$("):
				text, rest, _ := strings.Cut(line, ")")
				word.WriteString(text + ")")
				line = rest
			default:
				word.WriteByte(q)
				line = line[1:]
			}
		}
		out = append(out, word.String())
	}
	return out
}

// understand says what is wrong with a command line, which begins behind
// "sallyport". What a page mentions within a sentence may leave arguments out.
func understand(line string, mentioned bool) error {
	args := words(line)
	for i, arg := range args {
		if mentioned && placeholder.MatchString(arg) {
			args[i] = "1" // stands for something, perhaps a number
		}
	}
	cmd, rest, err := newRoot().Find(args)
	switch {
	case err != nil:
		return err
	case len(args) > 0 && cmd.Parent() == nil && !strings.HasPrefix(args[0], "-"):
		return fmt.Errorf("no command %q", args[0])
	case slices.Contains(rest, "--help") || len(rest) == 0 && mentioned:
		return nil
	}
	cmd.InitDefaultHelpFlag()
	if err := cmd.ParseFlags(rest); err != nil {
		if mentioned && strings.HasPrefix(err.Error(), "flag needs an argument") {
			return nil
		}
		return err
	}
	if mentioned {
		return nil
	}
	if !cmd.Runnable() {
		return fmt.Errorf("%s does nothing by itself", cmd.CommandPath())
	}
	if err := cmd.ValidateRequiredFlags(); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

var (
	placeholder = regexp.MustCompile(`^[A-Z]+$`)
	fenced      = regexp.MustCompile("(?ms)^ *```\\w*\n(.*?)^ *```$")
	asShell     = regexp.MustCompile(`(?m)^ *(?:\$ )?(?:[A-Z_]+=\S+ )*(?:bin/)?sallyport +((?:[^\n\\]|\\\n)*)`)
	asMention   = regexp.MustCompile("`sallyport ((?:[^`\n])+)`")
)

// TestEveryCommandLineShownIsUnderstood parses what pages show, flags included.
func TestEveryCommandLineShownIsUnderstood(t *testing.T) {
	blocks, mentions := 0, 0
	for path, text := range pages(t) {
		for _, block := range fenced.FindAllStringSubmatch(text, -1) {
			for _, m := range asShell.FindAllStringSubmatch(block[1], -1) {
				line := strings.ReplaceAll(m[1], "\\\n", " ")
				if strings.HasPrefix(line, "ready ") {
					continue // the line that `run` prints
				}
				blocks++
				if err := understand(line, false); err != nil {
					t.Errorf("%s: sallyport %s: %v", path, line, err)
				}
			}
		}
		for _, m := range asMention.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			first, _, _ := strings.Cut(m[1], " ")
			if first == "ready" {
				continue
			}
			head, more, several := strings.Cut(m[1], "|") // `sallyport policy test|build` names several
			mentions++
			if err := understand(head, true); err != nil {
				t.Errorf("%s: sallyport %s: %v", path, m[1], err)
			}
			if several && strings.HasPrefix(first, "policy") {
				for name := range strings.SplitSeq(more, "|") {
					if err := understand("policy "+name, true); err != nil {
						t.Errorf("%s: sallyport %s: %v", path, m[1], err)
					}
				}
			}
		}
	}
	if blocks < 30 || mentions < 60 {
		t.Errorf("found %d commands in blocks and %d in sentences", blocks, mentions)
	}
}

// TestEveryCommandHasAnExampleThatIsUnderstood holds --help to itself.
func TestEveryCommandHasAnExampleThatIsUnderstood(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
		if cmd.RunE == nil || cmd.HasSubCommands() && cmd.Example == "" {
			return
		}
		shown := asShell.FindAllStringSubmatch(cmd.Example, -1)
		if len(shown) == 0 {
			if i := strings.Index(cmd.Example, "| sallyport "); i >= 0 {
				shown = [][]string{{"", cmd.Example[i+len("| sallyport "):]}}
			}
		}
		if len(shown) == 0 && cmd.Name() != "version" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for _, m := range shown {
			if err := understand(m[1], false); err != nil {
				t.Errorf("%s: example: sallyport %s: %v", cmd.CommandPath(), m[1], err)
			}
			if !strings.HasPrefix("sallyport "+m[1], cmd.CommandPath()) {
				t.Errorf("%s: the example is of another command: %s", cmd.CommandPath(), m[1])
			}
		}
	}
	visit(newRoot())
}

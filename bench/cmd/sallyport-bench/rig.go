package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/bench/client"
	"github.com/sallyport/sallyport/bench/setup"
	"github.com/sallyport/sallyport/internal/envoyrun"
)

// rigFlags are what the commands that start their own set-ups share.
type rigFlags struct {
	setup.Options
	json string
	era  string
}

func (f *rigFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.Setups, "setups", setup.Usual(), "set-ups to measure")
	f.addBinaries(cmd)
	eraFlag(cmd, &f.era)
}

// addBinaries adds the flags that say what to start.
func (f *rigFlags) addBinaries(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.Envoy, "envoy", "", "Envoy `binary`; default: $SALLYPORT_ENVOY, envoy in PATH, the copy of make tools")
	fs.StringVar(&f.Sallyport, "sallyport", "", "gateway `binary`; default: sallyport beside this one, or in PATH")
	fs.IntVar(&f.Workers, "envoy-workers", min(2, runtime.NumCPU()), "worker threads of each Envoy")
	fs.StringVar(&f.json, "json", "", "also write everything measured to this `file`")
}

// start completes the options and starts the set-ups. Close them with the
// function that comes back, which removes their files too.
func (f *rigFlags) start(ctx context.Context) (*setup.Rig, func(), error) {
	if err := f.complete(); err != nil {
		return nil, nil, err
	}
	rig, err := setup.Start(ctx, f.Options)
	if err != nil {
		return nil, nil, withCleanup(err, f.Dir)
	}
	return rig, func() { rig.Close(); _ = os.RemoveAll(f.Dir) }, nil
}

// complete finds the binaries and makes the folder, which the caller removes.
func (f *rigFlags) complete() (err error) {
	if f.Self, err = os.Executable(); err != nil {
		return err
	}
	if f.Sallyport == "" {
		if f.Sallyport, err = beside(f.Self); err != nil {
			return err
		}
	}
	if f.Envoy, err = envoyrun.Find(f.Envoy); err != nil {
		return err
	}
	f.Dir, err = os.MkdirTemp("", "sallyport-bench-")
	return err
}

func withCleanup(err error, dir string) error {
	_ = os.RemoveAll(dir)
	return err
}

// beside finds the gateway.
func beside(self string) (string, error) {
	if p := filepath.Join(filepath.Dir(self), "sallyport"); isFile(p) {
		return p, nil
	}
	p, err := exec.LookPath("sallyport")
	if err != nil {
		return "", fmt.Errorf("no sallyport binary beside %s or in PATH: run `make build`, or name it with --sallyport", self)
	}
	return p, nil
}

func isFile(path string) bool {
	s, err := os.Stat(path)
	return err == nil && s.Mode().IsRegular()
}

func eraFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "era", "legacy", "`era` of the protocol: legacy (2025-11-25), modern ("+client.Modern+"), or a revision by its date")
}

// revision returns the protocol revision that an era means.
func revision(era string) (string, error) {
	switch era {
	case "legacy":
		return "2025-11-25", nil
	case "modern":
		return client.Modern, nil
	case "2025-03-26", "2025-06-18", "2025-11-25", client.Modern:
		return era, nil
	}
	return "", misuse{fmt.Errorf("--era: %q is not legacy, modern, 2025-03-26, 2025-06-18, 2025-11-25 or %s", era, client.Modern)}
}

// save writes a file, with the folders above it.
func save(path string, write func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// saveJSON writes v to file, unless that is empty.
func saveJSON(file string, v any) error {
	if file == "" {
		return nil
	}
	return save(file, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	})
}

// failed is the error of a run whose calls did not all succeed.
func failed(n int64) error {
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d errors; see the table", n)
}

// sizes reads sizes such as 200, 200B, 10KiB or 1MiB.
func sizes(list []string) ([]int, error) {
	var out []int
	for _, s := range list {
		number, unit := strings.TrimSpace(s), 1
		for suffix, factor := range map[string]int{"KiB": 1 << 10, "MiB": 1 << 20} {
			if rest, ok := strings.CutSuffix(number, suffix); ok {
				number, unit = rest, factor
			}
		}
		var n int
		if _, err := fmt.Sscanf(strings.TrimSuffix(number, "B")+"\n", "%d\n", &n); err != nil || n*unit < 64 || n*unit > 3<<20 {
			return nil, misuse{fmt.Errorf("--sizes: %q is not a size from 64 B to 3MiB, such as 200, 10KiB or 1MiB", s)}
		}
		out = append(out, n*unit)
	}
	return out, nil
}

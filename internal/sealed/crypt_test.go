package sealed

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"slices"
	"testing"
)

func TestCounterModeIsTheStandardLibrarys(t *testing.T) {
	k, err := derive("0123456789abcdef0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	random := make([]byte, tag)
	_, _ = rand.Read(random)
	for _, iv := range [][]byte{random, make([]byte, tag), bytes.Repeat([]byte{0xff}, tag), append(make([]byte, 8), bytes.Repeat([]byte{0xff}, 8)...)} {
		for _, n := range []int{0, 1, 15, 16, 17, 32, 36, 1024} {
			text := make([]byte, n)
			_, _ = rand.Read(text)
			want, got := slices.Clone(text), slices.Clone(text)
			cipher.NewCTR(k.block, iv).XORKeyStream(want, want)
			k.crypt(k.begin(), iv, got)
			if !bytes.Equal(got, want) {
				t.Errorf("%x, %d bytes: %x, want %x", iv, n, got, want)
			}
		}
	}
}

// A sealed id is what it was in every release, or every session would end with
// an upgrade.
func TestSealedIDsStayTheSame(t *testing.T) {
	k, err := New([]string{"0123456789abcdef0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	text, _ := k.Seal(1, &Owner{1, 2, 3}, "session-1")
	if want := "JjIo6sHdfRCzkrO0k011a4vz4-kYuwuDT3I"; text != want {
		t.Errorf("got %s, want %s", text, want)
	}
}

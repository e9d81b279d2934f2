// Command outsider checks bundles with the packages that check Go's own checksum database:
// the checkpoint as a signed note, the tiles, every entry, and an older checkpoint.
//
// It knows nothing of inbond but where the files of a bundle lie (C2SP tlog-tiles).
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8

// A verdict is what is said of one bundle: its problem, or none.
type verdict struct {
	Folder  string  `json:"folder"`
	Problem *string `json:"problem"`
}

// An entry is a line of entries.jsonl.
type entry struct {
	Seq  int64  `json:"seq"`
	Leaf string `json:"leaf"`
}

// tiles reads the tiles of a bundle.
type tiles struct{ folder string }

func (t tiles) Height() int { return tileHeight }

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		// C2SP's paths do not say the height, which is always 8.
		path := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", tileHeight))
		data, err := os.ReadFile(filepath.Join(t.folder, "log", "tile", filepath.FromSlash(path)))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func main() {
	vkey := flag.String("key", "", "the log key that was pinned")
	kept := flag.String("kept", "", "a file with an older checkpoint")
	flag.Parse()
	for _, folder := range flag.Args() {
		said := verdict{Folder: folder}
		if err := check(folder, *vkey, *kept); err != nil {
			text := err.Error()
			said.Problem = &text
		}
		if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
			panic(err)
		}
	}
}

func check(folder, vkey, kept string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	tree, err := signedTree(filepath.Join(folder, "log", "checkpoint"), verifier)
	if err != nil {
		return fmt.Errorf("log/checkpoint: %w", err)
	}
	reader := tlog.TileHashReader(tree, tiles{folder})
	if err := checkEntries(filepath.Join(folder, "entries.jsonl"), tree, reader); err != nil {
		return err
	}
	if kept == "" {
		return nil
	}
	older, err := signedTree(kept, verifier)
	if err != nil {
		return fmt.Errorf("the older checkpoint: %w", err)
	}
	proof, err := tlog.ProveTree(tree.N, older.N, reader)
	if err != nil {
		return fmt.Errorf("the older checkpoint: %w", err)
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, older.N, older.Hash); err != nil {
		return fmt.Errorf("the older checkpoint: %w", err)
	}
	return nil
}

// signedTree is the tree that a checkpoint (C2SP tlog-checkpoint) signs.
func signedTree(path string, verifier note.Verifier) (tlog.Tree, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("the note is no checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// checkEntries proves that each entry stands in the tree at its place.
func checkEntries(path string, tree tlog.Tree, reader tlog.HashReader) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	count := 0
	for ; lines.Scan(); count++ {
		var found entry
		if err := json.Unmarshal(lines.Bytes(), &found); err != nil {
			return err
		}
		proof, err := tlog.ProveRecord(tree.N, found.Seq, reader)
		if err != nil {
			return fmt.Errorf("entry %d: %w", found.Seq, err)
		}
		hash := tlog.RecordHash([]byte(found.Leaf))
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, found.Seq, hash); err != nil {
			return fmt.Errorf("entry %d: %w", found.Seq, err)
		}
	}
	if count == 0 {
		return errors.New("there are no entries")
	}
	return lines.Err()
}

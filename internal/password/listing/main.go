// Listing writes common.txt.gz, the list of passwords that people choose, from words and rules that stand here. The check
// itself undoes upper case, letters written as digits, dates, and short tails, so the list holds none of these variants.
package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"slices"
	"strings"
)

func main() {
	if err := run("common.txt.gz"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path string) error {
	list := slices.Concat(words(), names(), doubled(), affections(), pairs(), walks(), columns(), numbers())
	slices.Sort(list)
	list = slices.Compact(list)
	var packed bytes.Buffer
	writer, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := writer.Write([]byte(strings.Join(list, "\n") + "\n")); err != nil {
		return err
	}
	if err := writer.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, packed.Bytes(), 0o644) //nolint:gosec // public data
}

// doubled gives each word and name twice.
func doubled() []string {
	var list []string
	for _, word := range slices.Concat(words(), names()) {
		list = append(list, word+word)
	}
	return list
}

// affections gives what people say of names and things.
func affections() []string {
	var list []string
	for _, name := range slices.Concat(words(), names()) {
		for _, before := range []string{"ilove", "love", "my", "i", "the", "super", "mrs", "mr", "hello", "viva"} {
			list = append(list, before+name)
		}
		for _, after := range []string{"love", "forever", "rules", "rocks", "isthebest", "girl", "boy", "man", "pass", "password", "abc", "qwerty"} {
			list = append(list, name+after)
		}
	}
	return list
}

// pairs gives a quality and a thing, and a name with another.
func pairs() []string {
	var list []string
	for _, quality := range qualities() {
		for _, thing := range things() {
			list = append(list, quality+thing)
		}
	}
	return list
}

// walks gives pieces of keyboard rows and of the alphabet, forth and back, alone, twice, and with a neighbour.
func walks() []string {
	rows := []string{
		"qwertyuiop", "asdfghjkl", "zxcvbnm", "azertyuiop", "qsdfghjklm", "wxcvbn", "qwertzuiop", "yxcvbnm",
		"1234567890", "0123456789", "abcdefghijklmnopqrstuvwxyz",
	}
	var pieces []string
	for _, row := range rows {
		for _, line := range []string{row, reversed(row)} {
			for size := 4; size <= len(line); size++ {
				for start := 0; start+size <= len(line); start++ {
					pieces = append(pieces, line[start:start+size])
				}
			}
		}
	}
	list := slices.Clone(pieces)
	for _, piece := range pieces {
		list = append(list, piece+piece, piece+reversed(piece))
	}
	starts := []string{
		"qwer", "qwert", "qwerty", "asdf", "asdfg", "asdfgh", "zxcv", "zxcvb", "azer", "azert", "azerty", "qsdf", "wxcv", "abcd",
		"1234", "12345", "123456", "4321", "abc", "123", "321", "qwe", "asd", "zxc", "aze", "qsd", "wxc",
	}
	for _, first := range starts {
		for _, second := range starts {
			list = append(list, first+second)
			for _, third := range starts[len(starts)-9:] {
				list = append(list, first+second+third)
			}
		}
	}
	return list
}

// columns gives walks down and up the keyboard.
func columns() []string {
	list := []string{"qazwsx", "qazwsxedc", "wsxedc", "edcrfv", "qawsed", "qawsedrf", "qweasdzxc", "poiuytrewq"}
	for _, board := range [][]string{
		{"1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm"},
		{"1aqw", "2zsx", "3edc", "4rfv", "5tgb", "6yhn", "7uj,"},
		{"!qaz", "@wsx", "#edc", "$rfv", "%tgb", "^yhn", "&ujm"},
		{"147", "258", "369"}, {"741", "852", "963"},
	} {
		for _, first := range board {
			for _, second := range board {
				list = append(list, first+second, reversed(first)+reversed(second), first+reversed(second))
				for _, third := range board {
					list = append(list, first+second+third)
				}
			}
		}
	}
	return list
}

// numbers gives digits that repeat in groups.
func numbers() []string {
	list := []string{"31415926", "3141592653", "27182818", "11235813", "19283746", "10293847", "1029384756", "13579246", "24681012", "147258369", "159753456", "123581321"}
	for group := range 1000 {
		text := fmt.Sprintf("%03d", group)
		list = append(list, text+text+text, text+text+text+text)
	}
	for first := range 10 {
		for second := range 10 {
			for third := range 10 {
				for fourth := range 10 {
					list = append(list, fmt.Sprintf("%[1]d%[1]d%[2]d%[2]d%[3]d%[3]d%[4]d%[4]d", first, second, third, fourth))
				}
			}
		}
	}
	return list
}

func reversed(text string) string {
	letters := []byte(text)
	slices.Reverse(letters)
	return string(letters)
}

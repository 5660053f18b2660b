package shield

// Frames counts the messages in a stream, and tells whether it ends with the last of them.
func Frames(stream []byte) (messages int, whole bool) {
	var f framer
	for i := range stream {
		before := f.at
		if !f.feed(stream[i : i+1]) {
			return messages, false
		}
		if before != requestLine && f.at == requestLine {
			messages++
		}
	}
	return messages, f.at == requestLine && len(f.line) == 0
}

// Feed looks at a stream in one piece.
func Feed(stream []byte) bool {
	var f framer
	return f.feed(stream)
}

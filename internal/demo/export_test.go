package demo

// ReadTransfer and ReadAmount let the fuzzers in at the parsers of foreign bytes.
var (
	ReadTransfer = readTransfer
	ReadAmount   = readAmount
)

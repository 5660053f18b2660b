package accounts

// ReadTransfer lets the fuzzer in at the parser of foreign bytes.
var ReadTransfer = readTransfer

// Package garde is the root of the house. It holds no code: the Go library stands in gate/ and recipe/, the program in
// cmd/garde, all else under internal/. The tests beside this file hold the plan of the house and its promises.
package garde

package notary_test

import "github.com/gardeauth/garde/internal/store/deeds"

func statement(query string, args ...any) deeds.Statement {
	return deeds.Statement{Query: query, Args: args}
}

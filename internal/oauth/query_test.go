package oauth_test

import (
	"testing"

	"github.com/gardeauth/garde/internal/oauth"
)

func TestW10ATokenInTheQueryIsSeenHoweverItIsSpelled(t *testing.T) {
	for query, held := range map[string]bool{
		"access_token=x": true, "a=b&access_token=x": true, "a=b;access_token=x": true, "access_token": true, "access%5Ftoken=x": true,
		"ACCESS_TOKEN=x": true, "+access_token=x": true, "%20access_token%20=x": true, "&&access_token=": true, "a=%zz&access_token=x": true,
		"": false, "access_tokens=x": false, "my_access_token=x": false, "q=access_token": false, "%access_token=x": false, "a=b=access_token": false,
	} {
		if oauth.TokenInQuery(query) != held {
			t.Errorf("%q: %v", query, !held)
		}
	}
}

package machine

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/panalvm/panal/api"
)

// completeMACs gives each adapter without an address one made of the
// machine's UUID and the adapter's name, so that it is the same whenever and
// wherever the spec is completed. Without a UUID there is nothing to make it of.
func completeMACs(s *api.Spec) {
	taken := map[string]bool{}
	for i := range s.Adapters {
		s.Adapters[i].MAC = strings.ToLower(s.Adapters[i].MAC)
		taken[s.Adapters[i].MAC] = true
	}
	if s.UUID == "" {
		return
	}
	for i := range s.Adapters {
		if s.Adapters[i].MAC == "" {
			s.Adapters[i].MAC = unusedMAC(s.UUID, s.Adapters[i].Name, taken)
			taken[s.Adapters[i].MAC] = true
		}
	}
}

// unusedMAC makes an address below QEMU's prefix 52:54:00.
func unusedMAC(uuid, name string, taken map[string]bool) string {
	for try := 0; ; try++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", uuid, name, try))
		mac := fmt.Sprintf("52:54:00:%02x:%02x:%02x", sum[0], sum[1], sum[2])
		if !taken[mac] {
			return mac
		}
	}
}

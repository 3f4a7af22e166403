// Package disktest is what an image format must do, as tests. The test of a
// format names itself and runs them:
//
//	func TestConformance(t *testing.T) {
//		disktest.Run(t, disktest.Subject{Format: vdi.Format, Variant: "dynamic", Block: 1 << 20})
//	}
//
//	func FuzzOpen(f *testing.F) { disktest.Fuzz(f, []*disk.Format{vdi.Format}, seeds...) }
//
// Each check is a function from a [Subject] to an error, so that the suite is
// tested itself: with a format that is right, and that in many ways can be made
// wrong.
//
// [CorpusFiles] finds the images that other programs made.
package disktest

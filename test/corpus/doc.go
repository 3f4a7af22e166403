// Package corpus tries the image engine as a whole: on images that other
// programs made, of all formats, and on each way from one format to another.
// It holds nothing but tests.
//
// The images are no part of the repository: PANAL_CORPUS names the folder that
// they were unpacked to. Without it those tests are skipped.
package corpus

package nbd

// Constants of the protocol; "proto" is doc/proto.md of NetworkBlockDevice/nbd.

// Magic numbers (proto, "Fixed newstyle negotiation" and "Transmission").
const (
	magicServer         = 0x4e42444d41474943 // "NBDMAGIC"
	magicOption         = 0x49484156454f5054 // "IHAVEOPT"
	magicOptionReply    = 0x0003e889045565a9
	magicRequest        = 0x25609513
	magicSimpleReply    = 0x67446698
	magicStructured     = 0x668e33ef
	magicExtRequest     = 0x21e41c71 // extension-ext-header
	magicExtReply       = 0x6e8a278c // extension-ext-header
	optionHeaderLen     = 16
	requestLen          = 28
	extRequestLen       = 32
	simpleReplyLen      = 16
	structuredHeaderLen = 20
	extReplyHeaderLen   = 32
)

// Limits that the protocol sets or recommends.
const (
	maxString  = 4096    // proto, "Terminology": of any string
	maxPayload = 1 << 25 // proto, "Size constraints": what every client may rely on
)

// Handshake flags (proto, "Handshake flags" and "Client flags").
const (
	flagFixedNewstyle = 1 << 0
	flagNoZeroes      = 1 << 1
)

// Transmission flags (proto, "Transmission flags").
const (
	flagHasFlags     = 1 << 0
	flagReadOnly     = 1 << 1
	flagSendFlush    = 1 << 2
	flagSendFUA      = 1 << 3
	flagSendTrim     = 1 << 5
	flagSendZeroes   = 1 << 6
	flagSendDF       = 1 << 7
	flagMultiConn    = 1 << 8
	flagSendResize   = 1 << 9 // extension-resize
	flagSendCache    = 1 << 10
	flagSendFastZero = 1 << 11
)

// option is what a client asks for in the handshake (proto, "Option types").
type option uint32

const (
	optExportName      option = 1
	optAbort           option = 2
	optList            option = 3
	optStartTLS        option = 5
	optInfo            option = 6
	optGo              option = 7
	optStructuredReply option = 8
	optListMetaContext option = 9
	optSetMetaContext  option = 10
	optExtendedHeaders option = 11 // extension-ext-header
)

// answer is the type of an option reply (proto, "Option reply types").
type answer uint32

const (
	repAck         answer = 1
	repServer      answer = 2
	repInfo        answer = 3
	repMetaContext answer = 4

	repError        answer = 1 << 31
	repErrUnsup            = repError + 1
	repErrPolicy           = repError + 2
	repErrInvalid          = repError + 3
	repErrTLSReqd          = repError + 5
	repErrUnknown          = repError + 6
	repErrTooBig           = repError + 9
	repErrExtHeader        = repError + 10 // extension-ext-header
)

// Kinds of information about an export (proto, NBD_REP_INFO).
const (
	infoExport      = 0
	infoName        = 1
	infoDescription = 2
	infoBlockSize   = 3
)

// command is the type of a request (proto, "Request types").
type command uint16

const (
	cmdRead        command = 0
	cmdWrite       command = 1
	cmdDisc        command = 2
	cmdFlush       command = 3
	cmdTrim        command = 4
	cmdCache       command = 5
	cmdWriteZeroes command = 6
	cmdBlockStatus command = 7
	cmdResize      command = 8 // extension-resize
)

// Command flags (proto, "Command flags").
const (
	cmdFlagFUA        = 1 << 0
	cmdFlagNoHole     = 1 << 1
	cmdFlagDF         = 1 << 2
	cmdFlagReqOne     = 1 << 3
	cmdFlagFastZero   = 1 << 4
	cmdFlagPayloadLen = 1 << 5 // extension-ext-header
)

// Types and flags of reply chunks (proto, "Structured reply types").
const (
	replyFlagDone = 1 << 0

	chunkNone        uint16 = 0
	chunkData        uint16 = 1
	chunkHole        uint16 = 2
	chunkStatus      uint16 = 5
	chunkStatusExt   uint16 = 6 // extension-ext-header
	chunkError       uint16 = 1<<15 + 1
	chunkErrorOffset uint16 = 1<<15 + 2
)

// States of the context base:allocation (proto, "base:allocation").
const (
	stateHole = 1 << 0
	stateZero = 1 << 1
)

//! Numbers of the agent protocol (`vd_agent.h`).

use core::fmt;

ids! {
    /// Kind of an agent message (`VD_AGENT_*`).
    pub struct AgentMessageType(u32) {
        /// Pointer position and buttons; from the server only.
        MOUSE_STATE = 1,
        /// Places and sizes of the monitors.
        MONITORS_CONFIG = 2,
        /// Result of a request.
        REPLY = 3,
        /// Content of a clipboard.
        CLIPBOARD = 4,
        /// What the guest should not draw.
        DISPLAY_CONFIG = 5,
        /// Capabilities.
        ANNOUNCE_CAPABILITIES = 6,
        /// A clipboard has a new owner.
        CLIPBOARD_GRAB = 7,
        /// Asks for the content of a clipboard.
        CLIPBOARD_REQUEST = 8,
        /// A clipboard has no owner any more.
        CLIPBOARD_RELEASE = 9,
        /// A file will come.
        FILE_XFER_START = 10,
        /// How a file transfer goes.
        FILE_XFER_STATUS = 11,
        /// A piece of a file.
        FILE_XFER_DATA = 12,
        /// The client is gone; from the server only.
        CLIENT_DISCONNECTED = 13,
        /// Largest clipboard content that may be sent.
        MAX_CLIPBOARD = 14,
        /// Volume of sound.
        AUDIO_VOLUME_SYNC = 15,
        /// Graphics devices behind display channels; from the server only.
        GRAPHICS_DEVICE_INFO = 16,
    }

    /// Form of clipboard content (`VD_AGENT_CLIPBOARD_*`).
    pub struct ClipboardType(u32) {
        /// There is none: the answer to a request that cannot be met.
        NONE = 0,
        /// Text. Line ends are those of the guest, as its capabilities say.
        UTF8_TEXT = 1,
        /// PNG.
        IMAGE_PNG = 2,
        /// BMP.
        IMAGE_BMP = 3,
        /// TIFF.
        IMAGE_TIFF = 4,
        /// JPEG.
        IMAGE_JPG = 5,
        /// Names of files, which are to be had from the shared folder.
        FILE_LIST = 6,
    }

    /// Which of the clipboards (`VD_AGENT_CLIPBOARD_SELECTION_*`).
    pub struct ClipboardSelection(u8) {
        /// What is cut and copied.
        CLIPBOARD = 0,
        /// What is marked (X11).
        PRIMARY = 1,
        /// In hardly any use (X11).
        SECONDARY = 2,
    }

    /// How a file transfer goes (`VD_AGENT_FILE_XFER_STATUS_*`).
    pub struct FileXferResult(u32) {
        /// The agent wants the data.
        CAN_SEND_DATA = 0,
        /// It was cancelled, by either side.
        CANCELLED = 1,
        /// It failed.
        ERROR = 2,
        /// The file is there.
        SUCCESS = 3,
        /// The guest's disk is full.
        NOT_ENOUGH_SPACE = 4,
        /// The guest's session is locked.
        SESSION_LOCKED = 5,
        /// No agent runs in the guest's session.
        VDAGENT_NOT_CONNECTED = 6,
        /// The guest or the server does not allow it.
        DISABLED = 7,
    }

    /// Result of a request (`VD_AGENT_SUCCESS`, `VD_AGENT_ERROR`).
    pub struct ReplyError(u32) {
        /// Done.
        SUCCESS = 1,
        /// Not done.
        ERROR = 2,
    }
}

masks! {
    /// What a [`crate::agent::MonitorsConfig`] holds (`VD_AGENT_CONFIG_MONITORS_FLAG_*`), a bit set.
    pub struct MonitorsFlags(u32) {
        /// The places count, not only the sizes.
        USE_POS = 1,
        /// Sizes in millimetres follow.
        PHYSICAL_SIZE = 2,
    }
    /// What the guest should not draw (`VD_AGENT_DISPLAY_CONFIG_FLAG_*`), a bit set.
    pub struct DisplayConfigFlags(u32) {
        /// The wallpaper.
        DISABLE_WALLPAPER = 1,
        /// Smooth fonts.
        DISABLE_FONT_SMOOTH = 2,
        /// Animations.
        DISABLE_ANIMATION = 4,
        /// `depth` counts.
        SET_COLOR_DEPTH = 8,
    }
    /// Buttons of the pointer as the agent has them (`VD_AGENT_*BUTTON_MASK`), a bit set. Not those of
    /// [`crate::ids::MouseButtons`].
    pub struct AgentMouseButtons(u32) {
        /// Left.
        LEFT = 2,
        /// Middle.
        MIDDLE = 4,
        /// Right.
        RIGHT = 8,
        /// Wheel up.
        UP = 16,
        /// Wheel down.
        DOWN = 32,
        /// First thumb button.
        SIDE = 64,
        /// Second thumb button.
        EXTRA = 128,
    }
}

ids! {
    /// Where a chunk on the guest's serial port comes from or goes to (`VDP_*_PORT`).
    pub struct AgentPort(u32) {
        /// The client.
        CLIENT = 1,
        /// The server.
        SERVER = 2,
    }
}

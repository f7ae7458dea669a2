//! The one form in which optional settings are given: `Conv2d::with(1, 32, 3, |o| o.stride(2).bias(false))`.

/// Declares an options struct: fields with their defaults, and one setter per field.
///
/// ```
/// cresset_core::options! {
///     /// Optional settings of a filter.
///     FilterOptions {
///         /// How wide it is (default: 3).
///         width: i64 = 3,
///     }
/// }
/// ```
#[macro_export]
macro_rules! options {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $ty:ty = $default:expr,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $name { $(pub(crate) $field: $ty),* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default),* }
            }
        }

        impl $name {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $field(mut self, value: impl Into<$ty>) -> Self {
                    self.$field = value.into();
                    self
                }
            )*
        }
    };
}
